import { sideOf } from '../../core/stats/intervals.ts'
import type { CurveReport } from '../../training/evaluate/bootstrap/measure-routers.ts'
import type { EvaluationReport, RouterReport } from '../../training/evaluate/report/report.ts'
import {
  evidenceInWords,
  sensitivityInWords,
  spread,
} from '../../training/evaluate/report/verdict.ts'
import {
  count,
  dollars,
  milliseconds,
  percent,
  probability,
  range,
  score,
} from './number-format.ts'

/** An evaluation as plain text: verdicts first, then the table, the curve, the cost and the weakest slices. */
export function renderReport(report: EvaluationReport): string {
  const { quality, pair } = report
  const sections = [
    [
      `${count(report.rows)} prompts${pair ? `, ${pair.strong} over ${pair.weak}` : ''}`,
      ...evidenceInWords(report),
      `strong ${score(quality.strong)}, weak ${score(quality.weak)}, difference ${spread(quality.gap)}`,
      ...report.warnings.map((warning) => `warning: ${warning}`),
    ],
    [
      ...report.routers.map((router) => `${router.name}: ${router.verdict}`),
      ...sensitivityInWords(report),
    ],
    curveTable(report),
    plotCurves(report),
    report.routers.some(({ operating }) => operating) ? operatingTable(report) : [],
    // undefined where the verdicts say that there is no gap to recover
    report.comparisons
      .filter(({ value }) => value !== null)
      .map(
        (pair) =>
          `${pair.a} minus ${pair.b}: ${spread(pair)}, p ${probability(pair.p_holm)}${report.comparisons.length > 1 ? ' (Holm)' : ''}`,
      ),
    ...report.routers.map(worstSlices),
    ...report.routers.map(robustnessLines),
  ]
  const shown = sections.filter((lines) => lines.length > 0).map((lines) => lines.join('\n'))
  return `${shown.join('\n\n')}\n`
}

function curveTable(report: EvaluationReport): string[] {
  const baselines = Object.entries(report.baselines).filter(
    ([name]) => name !== 'random_seeded' && !name.startsWith('always_'),
  )
  return aligned([
    ['', 'APGR', '95% interval', 'RouteLLM', 'CPT20', 'CPT50', 'CPT80', 'CPT95', 'AUC', 'AIQ'],
    ...report.routers.map((router) => curveLine(router.name, router)),
    ...baselines.map(([name, baseline]) => curveLine(`  ${name.replaceAll('_', ' ')}`, baseline)),
  ])
}

function curveLine(name: string, { apgr, apgr_routellm, cpt, auc, aiq }: CurveReport): string[] {
  return [
    name,
    score(apgr.value),
    apgr.value === null ? 'undefined' : range(apgr),
    score(apgr_routellm),
    percent(cpt['20']),
    percent(cpt['50']),
    percent(cpt['80']),
    percent(cpt['95']),
    score(auc.value),
    score(aiq.value),
  ]
}

function operatingTable(report: EvaluationReport): string[] {
  return aligned([
    [
      'at its threshold',
      '',
      'strong',
      'PGR',
      'quality',
      '$/1k',
      'all-strong',
      'saved at equal quality',
      'ECE (perfect)',
      'Brier',
      'Arena',
      'p50',
      'p99',
    ],
    ...report.routers.map((router) => operatingLine(router)),
  ])
}

function operatingLine(router: RouterReport): string[] {
  const { operating, reliability, latency, saving_at_equal_quality: saving } = router
  return [
    router.name,
    operating ? `${score(operating.threshold)}${operating.source === 'default' ? '*' : ''}` : '-',
    percent(operating?.strong_share.value),
    percent(operating?.pgr.value),
    score(operating?.quality.value),
    dollars(operating?.dollars_per_1k.value),
    dollars(operating?.strong_dollars_per_1k),
    saving.value === null
      ? '-'
      : `${percent(saving.value)} [${percent(saving.low)}, ${percent(saving.high)}]`,
    reliability ? `${score(reliability.ece)} (${score(reliability.ece_perfect)})` : '-',
    score(reliability?.brier.value),
    score(operating?.router_arena),
    latency ? milliseconds(latency.p50_ms) : '-',
    latency ? milliseconds(latency.p99_ms) : '-',
  ]
}

const SLICES_SHOWN = 5

function worstSlices(router: RouterReport): string[] {
  const worst = (router.slices ?? [])
    .filter(({ loss }) => sideOf(loss) === 'above')
    .slice(0, SLICES_SHOWN)
  if (worst.length === 0) return []
  return [
    `${router.name} loses most against always-strong on`,
    ...aligned(
      worst.map((slice) => [
        `  ${slice.by}: ${slice.name}`,
        `${count(slice.rows)} prompts`,
        `${percent(slice.strong_share)} strong`,
        `loss ${spread(slice.loss)}`,
      ]),
    ),
  ]
}

/** Changes that turn fewer decisions are not listed. */
const TURNED = 0.05

function robustnessLines({ name, robustness }: RouterReport): string[] {
  if (!robustness) return []
  const turned = robustness.rows
    .filter(({ upgraded, downgraded }) => Math.max(upgraded, downgraded) > TURNED)
    .sort((a, b) => b.upgraded + b.downgraded - a.upgraded - a.downgraded)
  const of = `${robustness.rows.length} changes of how a prompt is written, on ${count(robustness.prompts)} prompts`
  if (turned.length === 0) return [`${name}: none of ${of}, turns over 5% of its decisions`]
  return [
    `${name} is turned by ${turned.length} of ${of} (${percent(robustness.strong_share)} strong unchanged)`,
    ...aligned(
      turned.map((row) => [
        `  ${row.change}`,
        `${percent(row.strong_share)} strong`,
        `${percent(row.upgraded)} of the weak turned`,
        `${percent(row.downgraded)} of the strong turned`,
      ]),
    ),
  ]
}

/** The first column left-aligned, the others right-aligned. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, k) => Math.max(...rows.map((row) => row[k]!.length)))
  return rows.map((row) =>
    row
      .map((cell, k) => (k === 0 ? cell.padEnd(widths[k]!) : cell.padStart(widths[k]!)))
      .join('  ')
      .trimEnd(),
  )
}

const WIDTH = 61
const HEIGHT = 13

/**
 * PGR against strong share in plain characters: one letter per router, dots for random. Empty without chart
 * data.
 */
function plotCurves(report: EvaluationReport): string[] {
  const routers = report.routers.filter(({ chart }) => chart).slice(0, 5)
  if (!report.quality.clear || routers.length === 0) return []
  const grid = Array.from({ length: HEIGHT }, () => new Array<string>(WIDTH).fill(' '))
  const put = (share: number, pgr: number, mark: string): void => {
    const row = Math.round((1 - pgr) * (HEIGHT - 1))
    const line = grid[row]
    const column = Math.round(share * (WIDTH - 1))
    const there = line?.[column]
    if (line) line[column] = there === ' ' || there === '.' || there === mark ? mark : '#'
  }
  for (let column = 0; column < WIDTH; column += 2) {
    put(column / (WIDTH - 1), column / (WIDTH - 1), '.')
  }
  routers.forEach((router, i) => {
    const { value } = router.chart!.band
    for (let step = 0; step < value.length; step++) {
      put(step / (value.length - 1), value[step]!, letter(i))
    }
  })
  const label = (row: number): string =>
    row === 0 ? '1.0' : row === HEIGHT - 1 ? '0.0' : row === (HEIGHT - 1) / 2 ? '0.5' : '   '
  return [
    'PGR',
    ...grid.map((line, row) => `${label(row)} |${line.join('').trimEnd()}`),
    `    +${'-'.repeat(WIDTH)}`,
    `    0%${'strong share'.padStart(WIDTH / 2 + 4)}${'100%'.padStart(WIDTH / 2 - 5)}`,
    `    ${routers.map(({ name }, i) => `${letter(i)} ${name}`).join('   ')}${routers.length > 1 ? '   # several' : ''}   . random`,
  ]
}

const letter = (i: number): string => 'abcde'[i]!
