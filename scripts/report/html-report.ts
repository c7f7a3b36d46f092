import { writeWhole } from '../../core/files.ts'
import { sideOf } from '../../core/stats/intervals.ts'
import type { EvaluationReport, RouterReport } from '../../training/evaluate/report/report.ts'
import {
  evidenceInWords,
  sensitivityInWords,
  spread,
} from '../../training/evaluate/report/verdict.ts'
import { controls, curveFigure, scoreFigures } from './charts.ts'
import {
  comparisonTable,
  curveTable,
  operatingTable,
  robustnessTable,
  sliceTables,
} from './html-tables.ts'
import { html, type Markup, scriptJson } from './markup.ts'
import { count, dollars, percent, score } from './number-format.ts'
import { page } from './page.ts'
import { openPlot, type PlotModule } from './plot.ts'
import { REPORT_SCRIPT } from './report-script.ts'

/** Writes the report atomically as one file that needs no network. Throws `file_unwritable`. */
export async function writeHtmlReport(path: string, report: EvaluationReport): Promise<void> {
  await writeWhole(path, renderHtml(await openPlot(), report))
}

/** The whole page. The report must have been made with `details`. */
export function renderHtml(
  plot: PlotModule,
  report: EvaluationReport,
  made: Date = new Date(),
): string {
  const names = report.routers.map(({ name }) => name).join(', ')
  const main = html`${heading(report, made)}
<section aria-labelledby="curve"><h2 id="curve">Cost and quality</h2>
${controls(report)}
${curveFigure(plot, report)}</section>
<section aria-labelledby="figures"><h2 id="figures">Figures</h2>
${curveTable(report)}
<p class="quiet">APGR is the area under the curve above: 0.5 for a coin, more is better. CPT 80 is the share of prompts the strong
model must answer for 80% of the quality gap. RouteLLM’s APGR looks at ten thresholds only. AUC is the chance that a prompt the strong
model does better on scores above one it does not. AIQ is mean quality over the range of spend.</p>
<h3>At the routers’ own thresholds</h3>
${operatingTable(report)}
${costNote(report)}
${report.comparisons.length > 0 && html`<h3>Routers against each other</h3>${comparisonTable(report)}`}
</section>
<section aria-labelledby="scores"><h2 id="scores">Can the win rates be taken at their word?</h2>
${scoreFigures(plot, report)}</section>
<section aria-labelledby="slices"><h2 id="slices">Where quality is lost</h2>
<p class="quiet">Groups of at least 30 prompts, surest loss against always-strong first.</p>
${report.routers.map((router) => html`<h3>${router.name}</h3>${sliceTables(router)}`)}</section>
<section aria-labelledby="robustness"><h2 id="robustness">How a prompt is written</h2>
<p class="quiet">The same questions written otherwise, with text around them, and with text that is meant to turn the decision.</p>
${report.routers.map((router) => html`<h3>${router.name}</h3>${robustnessTable(router)}`)}</section>
<section aria-labelledby="misses"><h2 id="misses">Prompts to read</h2>
<p class="quiet">Sent to the weak model, and only the strong one did well: the dearest and surest mistakes first${report.evidence.single > 0 && ', among prompts that both models answered'}.</p>
${report.routers.map(missList)}</section>
${sources(report)}`
  const script = { json: scriptJson(sliderData(report)), code: REPORT_SCRIPT }
  return page({ title: `Evaluation of ${names}`, main, script })
}

function heading(report: EvaluationReport, made: Date): Markup {
  const { quality, pair } = report
  const notes = [...evidenceInWords(report), ...sensitivityInWords(report)]
  return html`<h1>${report.routers.length > 1 ? `${report.routers.length} routers` : report.routers[0]?.name} on ${count(report.rows)} prompts</h1>
<p class="quiet">${pair && html`${pair.strong} (strong${quality.strong !== null && `, ${score(quality.strong)}`}) over ${pair.weak} (weak${quality.weak !== null && `, ${score(quality.weak)}`}). `}Strong minus weak: ${spread(quality.gap)}.</p>
<p class="summary">${report.routers[0] && forManagers(report.routers[0], report, made)}</p>
<ul class="verdicts">${report.routers.map(
    (router) =>
      html`<li class="${router.unreserved ? 'works' : router.works === false ? 'fails' : 'open'}"><strong>${router.name}</strong> ${router.verdict}.${inPlainWords(router, report)}</li>`,
  )}</ul>
${notes.length > 0 && html`<ul class="quiet">${notes.map((note) => html`<li>${note}</li>`)}</ul>`}
${report.warnings.length > 0 && html`<ul class="warnings">${report.warnings.map((warning) => html`<li>${warning}</li>`)}</ul>`}`
}

/** 1 December 2026, the same in every time zone. */
export const dateOf = (made: Date): string =>
  made.toLocaleDateString('en-GB', { dateStyle: 'long', timeZone: 'UTC' })

/** One sentence to act on: what share goes strong, what that saves and what it costs in quality, as of when. */
function forManagers(router: RouterReport, report: EvaluationReport, made: Date): string {
  const { name, operating: at } = router
  const { quality, pair } = report
  const strong = pair?.strong ?? 'the strong model'
  const { dollars_per_1k: spent, strong_dollars_per_1k: all } = at ?? {}
  const share = at
    ? `${name} sends ${percent(at.strong_share.value)} to ${strong}`
    : `${name} has no threshold, so its share, cost and quality are not known`
  const money =
    spent && spent.value !== null && all
      ? `, which costs ${dollars(spent.value)} per 1,000 requests where ${strong} alone costs ${dollars(all)} (${percent(Math.abs(1 - spent.value / all))} ${spent.value > all ? 'more' : 'less'})`
      : at
        ? ' (dollars are not known)'
        : ''
  const lost = at && at.loss.value !== null ? at.loss : undefined
  const side = lost && sideOf(lost)
  const kept =
    !lost || !side
      ? ''
      : {
          above: `, and quality is lower than ${strong}’s by ${spread(lost)}`,
          below: `, and quality is higher than ${strong}’s by ${spread({ value: -lost.value!, low: -lost.high!, high: -lost.low! })}`,
          open: `, and quality is not told apart from ${strong}’s (lost ${spread(lost)})`,
        }[side]
  return `As of ${dateOf(made)}, on ${count(report.rows)} prompts${quality.strong === null ? '' : ' with known scores'}, ${share}${money}${kept}.`
}

/** A one-sentence summary for the person who pays the bill. */
function inPlainWords(
  { operating: at }: RouterReport,
  { pair, quality }: EvaluationReport,
): Markup | false {
  if (!at) return false
  const { dollars_per_1k: spent, strong_dollars_per_1k: all } = at
  const money =
    spent.value !== null && all !== null
      ? `, for ${dollars(spent.value)} per 1,000 requests instead of ${dollars(all)} (${percent(1 - spent.value / all)} less)`
      : ''
  const kept = quality.clear
    ? `keeps ${percent(at.pgr.value)} of what ${pair?.strong ?? 'the strong model'} adds`
    : `${at.loss.value! < 0 ? 'gains' : 'gives up'} ${score(Math.abs(at.loss.value!))} of mean score against always-strong`
  return html`<br><span class="quiet">At its threshold it sends ${percent(at.strong_share.value)} of the prompts to the strong model and ${kept}${money}.</span>`
}

function costNote(report: EvaluationReport): Markup {
  const { costs, provenance } = report
  const latency = report.routers.find((router) => router.latency)?.latency
  return html`<p class="quiet">${costs ? `Dollars: ${provenance?.cost_basis ?? costs}.` : 'Dollars are not known: the log has no costs and no prices were given.'}${
    latency &&
    ` Latency: ${count(latency.prompts)} prompts one at a time on the machine of the evaluation; own cost at $${latency.core_hour_usd} per core and hour.`
  }</p>`
}

function missList({ name, worst_misses: misses = [] }: RouterReport): Markup {
  if (misses.length === 0) return html`<h3>${name}</h3><p class="quiet">None.</p>`
  return html`<details><summary>${name}: ${misses.length} prompts</summary><ol class="misses">${misses.map(
    ({ prompt, category, win_rate, gain }) =>
      html`<li><span class="quiet">win rate ${score(win_rate)}, lost ${score(gain)}${category && `, ${category}`}</span><pre>${prompt}</pre></li>`,
  )}</ol></details>`
}

function sources({
  provenance,
  seed,
  replicates,
  labels,
  observational,
}: EvaluationReport): Markup {
  const left = Object.entries(provenance?.left_out ?? {}).filter(([, rows]) => rows > 0)
  return html`<section aria-labelledby="sources"><h2 id="sources">Data and routers</h2>
<dl class="source">
${provenance?.bundles.map(
  (bundle) =>
    html`<dt>${bundle.name}</dt><dd>version ${bundle.version}, ${bundle.family} on ${bundle.encoder}, made ${bundle.created}, from ${bundle.trained_on.map(({ path, sha256 }) => `${path} (${sha256.slice(0, 12)})`).join(', ')}</dd>`,
)}
${provenance?.logs.map(({ path, sha256, rows }) => html`<dt>log</dt><dd>${path}, ${count(rows)} rows, SHA-256 ${sha256.slice(0, 12)}</dd>`)}
${observational && html`<dt>missing answers</dt><dd>${observational.method}</dd>`}
<dt>labels</dt><dd>${labels === 'outcomes' ? 'scores of both models’ answers' : 'preferences between the two models’ answers, ties half'}</dd>
${left.length > 0 && html`<dt>left out</dt><dd>${left.map(([part, rows]) => `${count(rows)} ${part}`).join(', ')}</dd>`}
<dt>intervals</dt><dd>95%, percentile bootstrap over prompts, ${count(replicates)} draws, seed ${seed}; differences on the same draws</dd>
</dl></section>`
}

/** The data for the slider. */
function sliderData(report: EvaluationReport): object {
  return {
    gap: report.quality.clear ? report.quality.gap.value : null,
    weak: report.quality.weak,
    strongDollars: report.routers[0]?.operating?.strong_dollars_per_1k ?? null,
    routers: report.routers.map(({ name, operating, chart }) => ({
      name,
      threshold: operating?.threshold ?? null,
      points: chart ? rounded(chart.points) : { threshold: [1], share: [0], gain: [0] },
    })),
  }
}

const rounded = (points: object): object =>
  Object.fromEntries(
    Object.entries(points as Record<string, number[]>).map(([name, values]) => [
      name,
      // thresholds decide which side a score falls on; the others are only shown
      values.map((value) => Number(value.toPrecision(name === 'threshold' ? 14 : 6))),
    ]),
  )
