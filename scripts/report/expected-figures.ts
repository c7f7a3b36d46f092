import type { Interval } from '../../training/calibrate/interval.ts'
import { table } from '../terminal/terminal.ts'

export const share = (x: number): string => `${(100 * x).toFixed(1)}%`
export const units = (x: number): string => x.toFixed(4)
export const dollars = (x: number): string => `$${x >= 100 ? x.toFixed(0) : x.toPrecision(3)}`

/** One figure that a calibration expects; undefined where it is not known. */
export type ExpectedFigure = readonly [
  name: string,
  interval: Interval | undefined,
  format: (x: number) => string,
]

/** What a calibration expects, a line a figure that is known, each with its interval. */
export function expectedTable(figures: readonly ExpectedFigure[]): string {
  const known = figures.flatMap(([name, interval, format]) =>
    interval
      ? [[name, format(interval.value), `[${format(interval.low)}, ${format(interval.high)}]`]]
      : [],
  )
  return table([['expected', '', '95% interval'], ...known])
}
