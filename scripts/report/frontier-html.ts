import { writeWhole } from '../../core/files.ts'
import type { PartialInterval } from '../../core/stats/intervals.ts'
import { describeRule } from '../../models/bundle/choice-rule.ts'
import type { FrontierReports } from '../../training/evaluate/evaluate.ts'
import type {
  FrontierReport,
  ReportedPoint,
} from '../../training/evaluate/frontier/frontier-report.ts'
import { key, SAVE_BUTTONS, seriesColour } from './charts.ts'
import { dateOf } from './html-report.ts'
import { type Cell, table } from './html-tables.ts'
import { html, type Markup } from './markup.ts'
import { count, percent, range, roundDollars, score } from './number-format.ts'
import { page } from './page.ts'
import { draw, openPlot, type PlotModule } from './plot.ts'

/** Writes the report of routers among many models as one file that needs no network. Throws `file_unwritable`. */
export async function writeFrontierHtml(path: string, reports: FrontierReports): Promise<void> {
  await writeWhole(path, renderFrontierHtml(await openPlot(), reports, new Date()))
}

/** The whole page: what to do, the curve of cost and quality, each model alone, and the rule at several costs. */
export function renderFrontierHtml(plot: PlotModule, reports: FrontierReports, made: Date): string {
  const left = Object.entries(reports.left_out).filter(([, rows]) => rows > 0)
  const main = html`<h1>Routers among many models</h1>
${reports.routers.map((report) => section(plot, report, made))}
${reports.warnings.length > 0 && html`<ul class="warnings">${reports.warnings.map((warning) => html`<li>${warning}</li>`)}</ul>`}
${left.length > 0 && html`<p class="quiet">Left out: ${left.map(([why, rows]) => `${count(rows)} ${why}`).join(', ')}.</p>`}`
  const names = reports.routers.map(({ name }) => name).join(', ')
  return page({ title: `Evaluation of ${names}`, main })
}

function section(plot: PlotModule, report: FrontierReport, made: Date): Markup {
  const { operating, best_single: best } = report
  const alone = report.models.find(({ model }) => model === best)!
  const box = report.works ? 'works' : report.area_above_mixtures.value === null ? 'open' : 'fails'
  return html`<section><h2>${report.name}</h2>
<p class="summary">As of ${dateOf(made)}, on ${count(report.rows)} prompts, ${report.name} costs ${roundDollars(operating.cost_per_1k)} per 1,000 requests with quality ${spread(operating.quality)}, where ${best}, the best model alone, costs ${roundDollars(alone.cost_per_1k)} with quality ${score(alone.quality)}.</p>
<ul class="verdicts"><li class="${box}"><strong>${report.name}</strong> ${report.verdict}.</li></ul>
<p class="quiet">Rule: ${describeRule(report.rule)} (${report.source}). Dollars: ${report.cost_basis}.</p>
<figure>${(['wide', 'narrow'] as const).map((name) => html`<div class="${name}">${chart(plot, report, name === 'wide' ? 880 : 350)}</div>`)}
${SAVE_BUTTONS}
<ul class="legend">${key(report.name, seriesColour(0), '')}${key('single models', 'var(--muted)', '1 3')}</ul>
<figcaption>Up and to the left is better. Dots are single models; the ring is the rule as it is set.</figcaption></figure>
<h3>Each model alone</h3>
${table(
  'Each model alone',
  ['', '$ per 1,000', 'quality', 'chosen'],
  report.models.map(({ model, cost_per_1k: cost, quality, share }) => [
    model === best ? `${model} (best)` : model,
    roundDollars(cost),
    score(quality),
    percent(share),
  ]),
)}
<h3>At several costs</h3>
${table(
  'At several costs',
  ['', '$ per 1,000', 'quality', 'above best single', 'above a mixture'],
  [
    row('as the rule is set', operating),
    ...report.budgets.map((at) => row(`${percent(at.of_best_cost)} of the best’s cost`, at)),
  ],
)}</section>`
}

const spread = (interval: PartialInterval): string =>
  `${score(interval.value)} (${range(interval)})`

const row = (name: string, at: ReportedPoint): Cell[] => [
  name,
  roundDollars(at.cost_per_1k),
  score(at.quality.value),
  withRange(at.above_best_single),
  withRange(at.above_mixture),
]

const withRange = (interval: PartialInterval): Cell =>
  interval.value === null
    ? '-'
    : html`<span>${score(interval.value)} <span class="quiet">${range(interval)}</span></span>`

function chart(plot: PlotModule, report: FrontierReport, width: number): Markup {
  const points = report.curve.map(({ cost, quality }) => ({ cost: 1000 * cost, quality }))
  const singles = report.models.map(({ model, cost_per_1k: cost, quality }) => ({
    model,
    cost,
    quality,
  }))
  const at = {
    cost: report.operating.cost_per_1k,
    quality: report.operating.quality.value ?? Number.NaN,
  }
  const colour = seriesColour(0)
  return draw(plot, `Mean quality of ${report.name} against dollars per 1,000 requests`, {
    width,
    height: width < 500 ? 300 : 400,
    marginLeft: 48,
    marginRight: 90,
    marginBottom: 38,
    style: { fontSize: '12px' },
    x: { label: 'US dollars per 1,000 requests', ticks: width < 500 ? 4 : 8, nice: true },
    y: { label: 'mean quality', grid: true, nice: true },
    marks: [
      plot.line(points, { x: 'cost', y: 'quality', stroke: colour, strokeWidth: 2 }),
      plot.dot(singles, { x: 'cost', y: 'quality', fill: 'var(--muted)', r: 4 }),
      plot.text(singles, {
        x: 'cost',
        y: 'quality',
        text: ({ model }: { model: string }) =>
          model.length > 22 ? `${model.slice(0, 20)}…` : model,
        dx: 7,
        textAnchor: 'start',
        fill: 'currentColor',
        stroke: 'var(--page)',
        strokeWidth: 3,
      }),
      plot.dot([at], {
        x: 'cost',
        y: 'quality',
        stroke: colour,
        fill: 'var(--page)',
        r: 6,
        strokeWidth: 2.5,
      }),
    ],
  }).svg
}
