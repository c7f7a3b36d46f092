import type { Interval } from '../../training/evaluate/interval.ts'
import type { CurveReport, EvaluationReport } from '../../training/evaluate/report.ts'
import { count, decimal, spread } from '../../training/evaluate/verdict.ts'

/** An evaluation as plain text: a table of routers and baselines, then the verdicts. */
export function renderReport(report: EvaluationReport): string {
  const { quality, rows } = report
  const lines = [
    `${count(rows)} prompts${report.pair ? `, ${report.pair.strong} over ${report.pair.weak}` : ''}`,
    `strong ${decimal(quality.strong)}, weak ${decimal(quality.weak)}, difference ${spread(quality.gap)}`,
    '',
    ...table(report),
    '',
    ...report.routers.map((router) => `${router.name} ${router.verdict}`),
    ...report.comparisons.map(
      (pair) =>
        `${pair.a} minus ${pair.b}: ${spread(pair)}, p ${probability(pair.p_holm)}${report.comparisons.length > 1 ? ' (Holm)' : ''}`,
    ),
    ...report.warnings.map((warning) => `warning: ${warning}`),
  ]
  return `${lines.join('\n')}\n`
}

function table(report: EvaluationReport): string[] {
  const header = ['', 'APGR', '95% interval', 'RouteLLM', 'CPT20', 'CPT50', 'CPT80', 'CPT95', 'AUC']
  const body = [
    ...report.routers.map((router) => line(router.name, router)),
    ...Object.entries(report.baselines)
      .filter(([name]) => name !== 'random_seeded' && !name.startsWith('always_'))
      .map(([name, baseline]) => line(`  ${name.replaceAll('_', ' ')}`, baseline)),
  ]
  const widths = header.map((_, k) => Math.max(...[header, ...body].map((row) => row[k]!.length)))
  return [header, ...body].map((row) =>
    row
      .map((cell, k) => (k === 0 ? cell.padEnd(widths[k]!) : cell.padStart(widths[k]!)))
      .join('  ')
      .trimEnd(),
  )
}

function line(name: string, { apgr, apgr_routellm, cpt, auc }: CurveReport): string[] {
  return [
    name,
    decimal3(apgr.value),
    apgr.value === null ? 'undefined' : range(apgr),
    decimal3(apgr_routellm),
    percent(cpt['20']),
    percent(cpt['50']),
    percent(cpt['80']),
    percent(cpt['95']),
    decimal3(auc.value),
  ]
}

const range = ({ low, high }: Interval): string => `${decimal3(low)} to ${decimal3(high)}`

const decimal3 = (value: number | null): string =>
  value === null ? '-' : value.toFixed(3).replace(/^(-?)0\./, '$1.')

const probability = (p: number | null): string => (p !== null && p < 0.001 ? '< .001' : decimal3(p))

const percent = (value: number | null): string =>
  value === null ? '-' : `${(value * 100).toFixed(1)}%`
