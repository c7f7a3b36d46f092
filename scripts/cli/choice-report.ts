import type { PartialInterval } from '../../core/stats/intervals.ts'
import { describeRule } from '../../models/bundle/choice-rule.ts'
import type { ChoiceReport, ReportedPoint } from '../../training/choice/choice-report.ts'
import type { ChosenModels } from '../../training/choice/choose-models.ts'
import type { ChoiceReports } from '../../training/choice/report-bundles.ts'
import { count, percent, score, type Terminal, table } from '../terminal/terminal.ts'

const dollars = (x: number): string => `$${x >= 100 ? x.toFixed(0) : x.toPrecision(3)}`
const range = ({ low, high }: PartialInterval): string =>
  low === null || high === null ? '' : `[${signed(low)}, ${signed(high)}]`
const signed = (x: number | null): string =>
  x === null ? '' : `${x < 0 ? '-' : '+'}${score(Math.abs(x))}`

/** Which two models stand for the pair, and why. */
export function printChosen(
  terminal: Terminal,
  { standings, strong, weak }: ChosenModels,
  named: { readonly strong?: string; readonly weak?: string },
): void {
  const of = (model: string) => standings.find((standing) => standing.model === model)!
  const best = named.strong ? 'as named' : `best on train (${score(of(strong).quality)})`
  const cheap = named.weak
    ? 'as named'
    : `cheapest on train (${dollars(1000 * of(weak).cost)} per 1,000)`
  terminal.print(
    `${standings.length} models; the pair among them: strong ${strong}, ${best}; weak ${weak}, ${cheap}`,
  )
}

/** Routers among many models side by side, and the next command. */
export function printReports(terminal: Terminal, reports: ChoiceReports, calibrate: string): void {
  for (const report of reports.routers) printChoice(terminal, report)
  const left = Object.entries(reports.left_out).filter(([, rows]) => rows > 0)
  if (left.length > 0) {
    terminal.print(`left out: ${left.map(([why, rows]) => `${count(rows)} ${why}`).join(', ')}`)
  }
  for (const warning of reports.warnings) terminal.print(`warning: ${warning}`)
  const [first] = reports.routers
  terminal.print(
    first?.source === 'default'
      ? `Not calibrated yet. Next: ${calibrate} --best-share 0.98`
      : 'For two of the models alone: --strong A --weak B',
  )
}

/** Each model alone, then what the rule reaches at its own cost and at parts of the best model's. */
export function printChoice(terminal: Terminal, report: ChoiceReport): void {
  terminal.print(
    `\n${report.name}: ${describeRule(report.rule)} (${report.source}), on ${count(report.rows)} prompts it has not seen`,
  )
  terminal.print(
    table([
      ['model', 'per 1,000', 'quality', 'chosen'],
      ...report.models.map(({ model, cost_per_1k: cost, quality, share }) => [
        model === report.best_single ? `${model} (best)` : model,
        dollars(cost),
        score(quality),
        percent(share),
      ]),
    ]),
  )
  const row = (name: string, at: ReportedPoint): string[] => [
    name,
    dollars(at.cost_per_1k),
    at.quality.value === null ? 'too little' : score(at.quality.value),
    signed(at.above_best_single.value),
    range(at.above_best_single),
    signed(at.above_mixture.value),
    range(at.above_mixture),
  ]
  terminal.print('')
  terminal.print(
    table([
      ['spending', 'per 1,000', 'quality', 'above best single', '95%', 'above a mixture', '95%'],
      row('as the rule is set', report.operating),
      ...report.budgets.map((at) => row(`${percent(at.of_best_cost)} of the best’s cost`, at)),
    ]),
  )
  const { area, area_above_mixtures: above } = report
  terminal.print(
    `Mean quality from the cheapest’s to the best’s cost: ${score(area.value ?? Number.NaN)}; mixtures of single models ${score(report.mixture_area)} (${signed(above.value)} ${range(above)}), oracle ${score(report.oracle_area)}`,
  )
  terminal.print(`Dollars: ${report.cost_basis}`)
  terminal.print(`${report.name}: ${report.verdict}`)
}
