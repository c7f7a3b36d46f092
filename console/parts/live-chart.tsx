import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import type uPlot from 'uplot'
import { timeOf } from '../format.ts'
import { colour, useColours } from '../theme.ts'

type UPlot = typeof uPlot
let loading: Promise<UPlot> | undefined
const load = (): Promise<UPlot> => {
  loading ??= Promise.all([import('uplot'), import('uplot/dist/uPlot.min.css')]).then(
    ([library]) => library.default,
  )
  return loading
}

export interface Line {
  readonly name: string
  /** a variable of the style sheet, such as `--accent` */
  readonly colour: string
  /** one for each time; null where there is none */
  readonly values: readonly (number | null)[]
  readonly filled?: boolean
}

type Columns = [number[], ...(number | null)[][]]

/** A value if it is a power of ten: the others get no line and no words. */
function onlyPower(value: number): number | null {
  const power = Math.log10(value)
  return Math.abs(power - Math.round(power)) < 1e-6 ? value : null
}

/** Lowest value of an axis with powers of ten. */
const LOG_FLOOR = 0.01

/** Lines over time that change while they are watched, by uPlot: it draws anew at each change. */
export function LiveChart({
  label,
  times,
  lines,
  height = 180,
  format = String,
  least = 1,
  log = false,
}: {
  /** what the chart shows, for those who do not see it */
  readonly label: string
  /** milliseconds since 1970 */
  readonly times: readonly number[]
  readonly lines: readonly Line[]
  /** pixels */
  readonly height?: number
  readonly format?: (value: number) => string
  /** the axis reaches at least to this value */
  readonly least?: number
  /** the axis has powers of ten, from 0.01; lower values are drawn there */
  readonly log?: boolean
}): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot>(undefined)
  const colours = useColours()
  const names = lines.map(({ name, colour: its }) => `${name}${its}`).join()
  const data = [
    times.map((time) => time / 1000),
    ...lines.map(({ values }) =>
      values.map((value) => (log && value !== null ? Math.max(LOG_FLOOR, value) : value)),
    ),
  ]
  const latest = useRef(data)
  latest.current = data
  useEffect(() => {
    let ended = false
    const grid = { stroke: colour('--line'), width: 1 }
    const axis = { stroke: colour('--muted'), grid, ticks: { show: false }, font: '12px system-ui' }
    void load().then((Plot) => {
      if (ended || !box.current) return
      chart.current = new Plot(
        {
          width: box.current.clientWidth,
          height,
          cursor: { y: false, points: { size: 6 } },
          legend: { show: false },
          scales: {
            y: log
              ? { distr: 3, range: (_, __, most) => [LOG_FLOOR, Math.max(least, most * 2)] }
              : { range: (_, __, most) => [0, Math.max(least, most * 1.1)] },
          },
          axes: [
            { ...axis, space: 90, values: (_, ticks) => ticks.map((time) => timeOf(time * 1000)) },
            {
              ...axis,
              size: 52,
              values: (_, ticks) => ticks.map((tick) => (tick === null ? '' : format(tick))),
              ...(log && { filter: (_, ticks) => ticks.map(onlyPower) }),
            },
          ],
          series: [
            {},
            ...lines.map(({ name, colour: its, filled }) => ({
              label: name,
              stroke: colour(its),
              width: 2,
              points: { show: false },
              ...(filled ? { fill: faint(colour(its)) } : {}),
            })),
          ],
        },
        latest.current as Columns,
        box.current,
      )
    })
    const watch = new ResizeObserver(([entry]) =>
      chart.current?.setSize({ width: Math.round(entry!.contentRect.width), height }),
    )
    watch.observe(box.current!)
    return () => {
      ended = true
      watch.disconnect()
      chart.current?.destroy()
      chart.current = undefined
    }
  }, [names, height, colours, least, log])
  useEffect(() => {
    chart.current?.setData(data as Columns)
  })
  return (
    <div class="live-chart">
      <div role="img" aria-label={label} ref={box} style={{ minHeight: `${height}px` }} />
      <ul class="legend" aria-hidden="true">
        {lines.map(({ name, colour: its }) => (
          <li key={name}>
            <span class="dot" style={{ background: `var(${its})` }} />
            {name}
          </li>
        ))}
      </ul>
    </div>
  )
}

/** A computed colour, nearly transparent. */
function faint(shown: string): string {
  const parts = /^rgba?\(([^)]+)\)$/
    .exec(shown)?.[1]
    ?.split(/[,\s/]+/)
    .slice(0, 3)
  return parts ? `rgba(${parts.join(', ')}, 0.12)` : 'transparent'
}
