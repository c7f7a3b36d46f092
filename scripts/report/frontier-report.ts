import type { PartialInterval } from '../../core/stats/intervals.ts'
import { describeRule } from '../../models/bundle/choice-rule.ts'
import type { FrontierReports } from '../../training/evaluate/evaluate.ts'
import type {
  FrontierReport,
  ReportedPoint,
} from '../../training/evaluate/frontier/frontier-report.ts'
import { count, percent, score, table } from '../terminal/terminal.ts'
import { roundDollars } from './number-format.ts'

const range = ({ low, high }: PartialInterval): string =>
  low === null || high === null ? '' : `[${signed(low)}, ${signed(high)}]`
const signed = (x: number | null): string =>
  x === null ? '' : `${x < 0 ? '-' : '+'}${score(Math.abs(x))}`

/** Compares routers among many models, and gives the next command; `calibrate` is its beginning. */
export function renderFrontiers(reports: FrontierReports, calibrate: string): string {
  const left = Object.entries(reports.left_out).filter(([, rows]) => rows > 0)
  const leftOut = left.map(([why, rows]) => `${count(rows)} ${why}`).join(', ')
  return [
    ...reports.routers.map(renderFrontier),
    ...(leftOut ? [`left out: ${leftOut}`] : []),
    ...reports.warnings.map((warning) => `warning: ${warning}`),
    reports.routers[0]?.source === 'default'
      ? `Not calibrated yet. Next: ${calibrate} --best-share 0.98`
      : 'For two of the models alone: --strong A --weak B',
  ].join('\n')
}

/** Each model alone, then the rule's score at its own cost and at fractions of the best model's. */
export function renderFrontier(report: FrontierReport): string {
  const row = (name: string, at: ReportedPoint): string[] => [
    name,
    roundDollars(at.cost_per_1k),
    at.quality.value === null ? 'too little' : score(at.quality.value),
    signed(at.above_best_single.value),
    range(at.above_best_single),
    signed(at.above_mixture.value),
    range(at.above_mixture),
  ]
  const { area, area_above_mixtures: above } = report
  return [
    `\n${report.name}: ${describeRule(report.rule)} (${report.source}), on ${count(report.rows)} prompts it has not seen`,
    table([
      ['model', 'per 1,000', 'quality', 'chosen'],
      ...report.models.map(({ model, cost_per_1k: cost, quality, share }) => [
        model === report.best_single ? `${model} (best)` : model,
        roundDollars(cost),
        score(quality),
        percent(share),
      ]),
    ]),
    '',
    table([
      ['spending', 'per 1,000', 'quality', 'above best single', '95%', 'above a mixture', '95%'],
      row('as the rule is set', report.operating),
      ...report.budgets.map((at) => row(`${percent(at.of_best_cost)} of the best’s cost`, at)),
    ]),
    `Mean quality from the cheapest’s to the best’s cost: ${score(area.value ?? Number.NaN)}; mixtures of single models ${score(report.mixture_area)} (${signed(above.value)} ${range(above)}), oracle ${score(report.oracle_area)}`,
    `Dollars: ${report.cost_basis}`,
    `${report.name}: ${report.verdict}`,
  ].join('\n')
}
