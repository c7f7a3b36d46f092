import type { Interval } from '../../core/stats/intervals.ts'
import { describeRule } from '../../models/bundle/choice-rule.ts'
import type { CalibrateResult } from '../../training/calibrate/calibrate.ts'
import type { CalibrationData, Certificate } from '../../training/calibrate/certificate.ts'
import type { Expected } from '../../training/calibrate/expected.ts'
import type { GatheredRows } from '../../training/calibrate/log-rows.ts'
import type { Menu } from '../../training/calibrate/menu.ts'
import type { ProbabilityReport } from '../../training/calibrate/probability/report.ts'
import type { CalibratedRule, RuleExpected } from '../../training/calibrate/rule.ts'
import { describeTarget } from '../../training/calibrate/target.ts'
import { percent, roundDollars, units } from '../report/number-format.ts'
import { count, type Terminal, table, percent as wholePercent } from '../terminal/terminal.ts'

/** The output of `weir calibrate --json`. For a rule, it also has the contents of the certificate. */
export function calibrationJson({ bundle, data: _, ...result }: CalibrateResult): object {
  const written = bundle && { bundle: bundle.path, version: bundle.manifest.version }
  if (!result.rule) return { ...result, ...written }
  const { target: __, seed: ___, data: ____, date: _____, ...certified } = result.certificate
  return { ...certified, ...result, ...written }
}

/** The threshold or the rule, its expected results, its guarantees, and the next command. */
export function printCalibration(terminal: Terminal, path: string, result: CalibrateResult): void {
  const { certificate, data, bundle } = result
  terminal.print(rowsLine(certificate.n, data))
  if ('win_rate_quantiles' in certificate) {
    const { unlabelled_n: unlabelled, effective_n: effective } = certificate
    if (unlabelled) terminal.print(`Shares are of ${count(unlabelled)} unlabelled prompts.`)
    if (effective !== undefined) {
      terminal.print(
        `Re-weighted towards the target prompts, they are worth ${count(effective)} rows.`,
      )
    }
  }
  terminal.print(expectedTable(result.expected))
  if (result.rule) terminal.print(`Asked: ${askedModels(result)}`)
  printPromise(terminal, certificate)
  if (certificate.cost_basis) terminal.print(`Dollars: ${certificate.cost_basis}`)
  if (result.probability) terminal.print(probabilityLine(result.probability))
  const decision = result.rule
    ? describeRule(result.rule)
    : `threshold ${result.threshold.toFixed(4)}`
  const next = bundle ? `weir serve ${path}` : 'the same without --dry-run'
  terminal.print(`For ${describeTarget(certificate.target)}: ${decision}. Next: ${next}`)
}

/** A calibration's expected results, one line per known figure, each with its interval. */
export function expectedTable(
  expected: Partial<Omit<RuleExpected, 'shares'>> & Partial<Expected>,
  shareName = 'strong calls',
): string {
  const figures = [
    [shareName, expected.share, percent],
    ['quality', expected.quality, units],
    ['of the best model’s', expected.best_share, percent],
    ['net loss', expected.loss, units],
    ['gap kept (PGR)', expected.pgr, percent],
    ['per 1,000 calls', expected.dollars ?? expected.usd_per_1k, roundDollars],
  ] as const
  const known = figures.flatMap(([name, interval, format]) =>
    interval
      ? [[name, format(interval.value), `[${format(interval.low)}, ${format(interval.high)}]`]]
      : [],
  )
  return table([['expected', '', '95% interval'], ...known])
}

/** The bound with its confidence, if there is one, and its assumptions. */
export function printPromise(
  terminal: Terminal,
  {
    bound,
    method,
    assumptions,
    promise,
  }: Pick<Certificate, 'bound' | 'method' | 'promise' | 'assumptions'>,
): void {
  if (bound) {
    const sure =
      bound.confidence === undefined
        ? 'in expectation'
        : `at ${percent(bound.confidence)} confidence`
    const lower = bound.quantity === 'PGR' || bound.quantity.startsWith('share')
    const value = Number(bound.value.toPrecision(6))
    terminal.print(
      `Promised: ${bound.quantity} ${lower ? 'at least' : 'at most'} ${value} ${sure} (${method})`,
    )
  }
  for (const assumption of assumptions) {
    terminal.print(promise === 'estimate' ? `This is ${assumption}` : `  if ${assumption}`)
  }
}

function askedModels({ expected, certificate }: CalibratedRule) {
  return certificate.models
    .map((model, k) => ({ model, part: expected.shares[k]! }))
    .filter(({ part }) => part > 0)
    .sort((a, b) => b.part - a.part)
    .map(({ model, part }) => `${model} ${wholePercent(part)}`)
    .join(', ')
}

function probabilityLine(report: ProbabilityReport): string {
  const { method, ece_before: before, ece_after: after, ece_perfect: perfect } = report
  const of = ({ value, low, high }: Interval): string =>
    `${units(value)} [${units(low)}, ${units(high)}]`
  return `Win rates calibrated (${method}): ECE ${of(before)} before, ${of(after)} after, out of fold; a perfect router shows about ${units(perfect)} here`
}

/** All thresholds as a table, and the command that selects a row. */
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
        cell(expected.share, percent),
        cell(expected.quality, units),
        cell(expected.pgr, percent),
        cell(expected.loss, units),
        lossBound === undefined ? '-' : lossBound.toFixed(3),
        cell(expected.dollars, roundDollars),
      ]),
    ]),
  )
  terminal.print(
    `"loss at most" holds for all rows together at ${percent(menu.confidence)} confidence: pick any after looking.`,
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
  incomplete: 'without an outcome of every candidate',
}

function rowsLine(n: number, data: CalibrationData): string {
  const left = Object.entries(data.left_out).filter(([, rows]) => rows > 0)
  const leftOut = left.map(([part, rows]) => `${count(rows)} ${WHY[part] ?? part}`).join(', ')
  return `${count(n)} prompts to calibrate on${leftOut ? `; left out: ${leftOut}` : ''}`
}
