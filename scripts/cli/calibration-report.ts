import type { Interval } from '../../core/stats/intervals.ts'
import type { CalibrateResult } from '../../training/calibrate/calibrate-bundle.ts'
import type { CalibrationData } from '../../training/calibrate/certificate.ts'
import type { GatheredRows } from '../../training/calibrate/gather-rows.ts'
import type { Menu } from '../../training/calibrate/menu.ts'
import { describeTarget, type Target } from '../../training/calibrate/target.ts'
import { roundDollars as dollars, percent as share, units } from '../report/number-format.ts'
import { count, type Terminal, table } from '../terminal/terminal.ts'

/** What `weir calibrate --json` prints. */
export function calibrationJson(result: CalibrateResult): object {
  const { bundle, name, threshold, expected, certificate, probability } = result
  return {
    name,
    threshold,
    expected,
    certificate,
    ...(probability && { probability }),
    ...(bundle && { bundle: bundle.path, version: bundle.manifest.version }),
  }
}

/** The threshold, what it is expected to do, what is promised, and the next command. */
export function printCalibration(
  terminal: Terminal,
  path: string,
  target: Target,
  result: CalibrateResult,
): void {
  const { threshold, expected, certificate, data, bundle, probability } = result
  terminal.print(rowsLine(certificate.n, data))
  if (certificate.unlabelled_n) {
    terminal.print(`Shares are of ${count(certificate.unlabelled_n)} unlabelled prompts.`)
  }
  if (certificate.effective_n !== undefined) {
    terminal.print(
      `Re-weighted towards the target prompts, they are worth ${count(certificate.effective_n)} rows.`,
    )
  }
  terminal.print(
    expectedTable([
      ['strong calls', expected.share, share],
      ['quality', expected.quality, units],
      ['net loss', expected.loss, units],
      ['gap kept (PGR)', expected.pgr, share],
      ['per 1,000 calls', expected.dollars, dollars],
    ]),
  )
  printPromise(terminal, result)
  if (certificate.cost_basis) terminal.print(`Dollars: ${certificate.cost_basis}`)
  if (probability) {
    const { method, ece_before: before, ece_after: after, ece_perfect: perfect } = probability
    const of = ({ value, low, high }: Interval): string =>
      `${units(value)} [${units(low)}, ${units(high)}]`
    terminal.print(
      `Win rates calibrated (${method}): ECE ${of(before)} before, ${of(after)} after, out of fold; a perfect router shows about ${units(perfect)} here`,
    )
  }
  const next = bundle ? `weir serve ${path}` : 'the same without --dry-run'
  terminal.print(`For ${describeTarget(target)}: threshold ${threshold.toFixed(4)}. Next: ${next}`)
}

function printPromise(terminal: Terminal, { certificate }: CalibrateResult): void {
  const { bound, method, assumptions, promise } = certificate
  if (bound) {
    const sure =
      bound.confidence === undefined ? 'in expectation' : `at ${share(bound.confidence)} confidence`
    const side = bound.quantity === 'PGR' ? 'at least' : 'at most'
    const value = Number(bound.value.toPrecision(6))
    terminal.print(`Promised: ${bound.quantity} ${side} ${value} ${sure} (${method})`)
  }
  for (const assumption of assumptions) {
    terminal.print(promise === 'estimate' ? `This is ${assumption}` : `  if ${assumption}`)
  }
}

/** The whole choice as a table, and the command that takes a row of it. */
export function printMenu(
  terminal: Terminal,
  command: string,
  menu: Menu,
  { rows, data, costBasis }: GatheredRows,
): void {
  terminal.print(rowsLine(rows.winRate.length, data))
  const cell = (interval: Interval | undefined, format: (x: number) => string): string =>
    interval ? format(interval.value) : '-'
  terminal.print(
    table([
      ['threshold', 'strong', 'quality', 'PGR', 'net loss', 'loss at most', 'per 1,000'],
      ...menu.rows.map(({ threshold, expected, lossBound }) => [
        threshold.toFixed(4),
        cell(expected.share, share),
        cell(expected.quality, units),
        cell(expected.pgr, share),
        cell(expected.loss, units),
        lossBound === undefined ? '-' : lossBound.toFixed(3),
        cell(expected.dollars, dollars),
      ]),
    ]),
  )
  terminal.print(
    `"loss at most" holds for all rows together at ${share(menu.confidence)} confidence: pick any after looking.`,
  )
  if (costBasis) terminal.print(`Dollars: ${costBasis}`)
  const middle = menu.rows[Math.floor(menu.rows.length / 2)]!
  terminal.print(
    `Next: ${command} --strong-share ${Number(middle.expected.share.value.toFixed(2))}`,
  )
}

const WHY: Readonly<Record<string, string>> = {
  train: 'trained on',
  validation: 'validated on',
  copies: 'copies of those',
  test: 'kept for evaluate',
  grid: 'set aside for the grid',
}

function rowsLine(n: number, data: CalibrationData): string {
  const left = Object.entries(data.left_out).filter(([, rows]) => rows > 0)
  const leftOut = left.map(([part, rows]) => `${count(rows)} ${WHY[part] ?? part}`).join(', ')
  return `${count(n)} prompts to calibrate on${leftOut ? `; left out: ${leftOut}` : ''}`
}

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
