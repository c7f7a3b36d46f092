import type { PartialInterval } from '../../core/stats/intervals.ts'
import type { CurveReport } from '../../training/evaluate/bootstrap/measure-routers.ts'
import type { EvaluationReport, RouterReport } from '../../training/evaluate/report/report.ts'
import { html, type Markup } from './markup.ts'
import {
  count,
  dollars,
  milliseconds,
  percent,
  probability,
  range,
  score,
} from './number-format.ts'
import { word } from './words.ts'

export type Cell = string | Markup

/** A table that becomes a list of rows on narrow pages; a column without figures is left out. */
export function table(
  label: string,
  head: readonly string[],
  body: readonly (readonly Cell[])[],
  free: readonly (readonly Cell[])[] = [],
): Markup {
  const all = [...body, ...free]
  const shown = head.flatMap((_, k) => (k === 0 || all.some((row) => row[k] !== '-') ? [k] : []))
  const line = (cells: readonly Cell[]) =>
    html`<tr>${shown.map((k) => html`<td data-label="${head[k]!}">${cells[k]!}</td>`)}</tr>`
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table>
<thead><tr>${shown.map((k) => html`<th scope="col">${word(head[k]!)}</th>`)}</tr></thead>
<tbody>${body.map(line)}</tbody>${free.length > 0 && html`<tbody class="free">${free.map(line)}</tbody>`}
</table></div>`
}

/** APGR and the other figures of the curves, routers above baselines. */
export function curveTable(report: EvaluationReport): Markup {
  const line = (name: string, { apgr, apgr_routellm, cpt, auc, aiq }: CurveReport): string[] => [
    name,
    score(apgr.value),
    apgr.value === null ? 'undefined' : range(apgr),
    score(apgr_routellm),
    ...(['20', '50', '80', '95'] as const).map((level) => percent(cpt[level])),
    score(auc.value),
    score(aiq.value),
  ]
  return table(
    'Routers and baselines',
    [
      '',
      'APGR',
      '95% interval',
      'RouteLLM’s',
      'CPT 20',
      'CPT 50',
      'CPT 80',
      'CPT 95',
      'AUC',
      'AIQ',
    ],
    report.routers.map((router) => line(router.name, router)),
    Object.entries(report.baselines).map(([name, baseline]) =>
      line(name.replaceAll('_', ' '), baseline),
    ),
  )
}

/** The results of each router at its own threshold. */
export function operatingTable(report: EvaluationReport): Markup {
  const withInterval = (
    interval: PartialInterval | undefined,
    format: (x: number | null | undefined) => string,
  ): Cell =>
    !interval || interval.value === null
      ? '-'
      : html`${format(interval.value)} <span class="quiet">${format(interval.low)} to ${format(interval.high)}</span>`
  return table(
    'At the routers’ own thresholds',
    [
      '',
      'threshold',
      'sent strong',
      'PGR',
      'quality',
      '$ per 1,000',
      'saved at equal quality',
      'RouterArena',
      'p50',
      'p99',
      'own cost per 1,000',
    ],
    report.routers.map(({ name, operating: at, saving_at_equal_quality: saving, latency }) => [
      name,
      at ? `${score(at.threshold)}${at.source === 'default' ? ' (default)' : ''}` : '-',
      withInterval(at?.strong_share, percent),
      withInterval(at?.pgr, percent),
      withInterval(at?.quality, score),
      withInterval(at?.dollars_per_1k, dollars),
      withInterval(saving, percent),
      score(at?.router_arena),
      latency ? milliseconds(latency.p50_ms) : '-',
      latency ? milliseconds(latency.p99_ms) : '-',
      latency ? dollars(latency.dollars_per_1k) : '-',
    ]),
  )
}

/** Every pair of routers, on the same prompts and the same draws. */
export function comparisonTable({ comparisons }: EvaluationReport): Markup {
  return table(
    'Differences between routers',
    [
      '',
      'APGR difference',
      '95% interval',
      comparisons.length > 1 ? 'p (Holm)' : 'p',
      'can be detected',
    ],
    comparisons.map((pair) => [
      `${pair.a} minus ${pair.b}`,
      score(pair.value),
      range(pair),
      probability(pair.p_holm),
      score(pair.detectable),
    ]),
  )
}

/** What each change of a prompt does to a router's decisions. */
export function robustnessTable({ robustness }: RouterReport): Markup {
  if (!robustness) return html`<p class="quiet">Not measured: weir evaluate --robustness does.</p>`
  return table(
    'Robustness',
    ['', 'sent strong', 'of the weak turned', 'of the strong turned', 'APGR'],
    [
      ['unchanged', percent(robustness.strong_share), '', '', score(robustness.apgr)],
      ...robustness.rows.map((row) => [
        row.change,
        percent(row.strong_share),
        percent(row.upgraded),
        percent(row.downgraded),
        score(row.apgr),
      ]),
    ],
  )
}

const SLICES_OPEN = 10

/** Worst first; the rest collapsed. */
export function sliceTables({ slices = [] }: RouterReport): Markup {
  if (slices.length === 0)
    return html`<p class="quiet">No group of prompts is large enough to be judged by itself.</p>`
  const show = (some: typeof slices) =>
    table(
      'Slices',
      ['', 'prompts', 'sent strong', 'strong minus weak', 'lost against all-strong', 'APGR'],
      some.map((slice) => [
        `${slice.by}: ${slice.name}`,
        count(slice.rows),
        percent(slice.strong_share),
        html`${score(slice.gap.value)} <span class="quiet">${range(slice.gap)}</span>`,
        html`${score(slice.loss.value)} <span class="quiet">${range(slice.loss)}</span>`,
        score(slice.apgr),
      ]),
    )
  return html`${show(slices.slice(0, SLICES_OPEN))}${
    slices.length > SLICES_OPEN &&
    html`<details><summary>${slices.length - SLICES_OPEN} more slices</summary>${show(slices.slice(SLICES_OPEN))}</details>`
  }`
}
