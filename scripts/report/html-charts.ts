import type { EvaluationReport, RouterReport } from '../../training/evaluate/report.ts'
import { costQualityChart, histogramChart, reliabilityChart, seriesColour } from './charts.ts'
import { html, Markup } from './markup.ts'
import { count, dollars, percent, score } from './number-format.ts'
import type { Drawing, PlotModule } from './plot.ts'

const WIDE = 880
const NARROW = 350

/** The cost-quality curve, once for wide screens and paper and once for narrow ones, with its legend. */
export function curveFigure(plot: PlotModule, report: EvaluationReport): Markup {
  const sizes = [
    ['wide', costQualityChart(plot, report, WIDE)],
    ['narrow', costQualityChart(plot, report, NARROW)],
  ] as const
  return html`<figure>
${sizes.map(([name, drawing]) => html`<div class="${name}">${withMarker(drawing, 'curve', '')}</div>`)}
<ul class="legend">
${report.routers.map(({ name }, i) => key(name, seriesColour(i), ''))}
${key('random', 'var(--muted)', '')}${key('prompt length', 'var(--muted)', '6 3')}
${report.baselines.category_prior && key('category prior', 'var(--muted)', '2 3')}
${report.baselines.knn && key('kNN', 'var(--muted)', '9 3 2 3')}${key('oracle', 'var(--muted)', '1 4')}
</ul>
<figcaption>Up and to the left is better. Bands hold 95% of ${count(Math.min(200, report.replicates))} bootstrap draws of the prompts. The oracle knows the answers; no router can.${
    /gpt-4-1106/i.test(report.pair?.strong ?? '') &&
    ' Crosses are CPT(50%) and CPT(80%) as published by RouteLLM for this pair of models, on the benchmark named.'
  }</figcaption>
</figure>`
}

function key(name: string, colour: string, dash: string): Markup {
  return html`<li><svg width="26" height="10" aria-hidden="true"><line x1="0" x2="26" y1="5" y2="5" style="stroke:${colour}" stroke-width="2.5" stroke-dasharray="${dash}"/></svg>${name}</li>`
}

/** A mark that the script moves; where there is no script it is not shown. */
function withMarker({ svg, scale }: Drawing, kind: 'curve' | 'bins', router: string): Markup {
  const [x0, x1] = scale.x
  const [y0, y1] = scale.y
  const group = html`<g class="marker ${kind}" data-router="${router}" data-x0="${x0}" data-x1="${x1}" data-y0="${y0}" data-y1="${y1}"><line x1="-9" x2="-9" y1="${scale.bottom}" y2="20"/>${
    kind === 'curve' && html`<circle cx="-99" cy="-99" r="5.5"/>`
  }</g>`
  return new Markup(svg.text.replace(/<\/svg>$/, `${group}</svg>`))
}

/** Slider, choice of router and the figures that follow them. */
export function controls(report: EvaluationReport): Markup {
  const [first] = report.routers
  const at = first?.operating
  const cells: readonly (readonly [string, string, string])[] = [
    ['figure-threshold', 'threshold', score(at?.threshold)],
    ['figure-share', 'sent to the strong model', percent(at?.strong_share.value)],
    [
      'figure-kept',
      report.quality.clear ? 'quality gap kept (PGR)' : 'mean score over all-weak',
      percent(at?.pgr.value),
    ],
    ...(report.quality.weak === null
      ? []
      : ([['figure-quality', 'mean quality', score(at?.quality.value)]] as const)),
    ...(report.costs
      ? ([
          ['figure-dollars', 'per 1,000 requests', dollars(at?.dollars_per_1k.value)],
          ['figure-saved', 'saved against all-strong', savedText(first)],
        ] as const)
      : []),
  ]
  return html`<div class="controls">
<label for="router">Router</label>
<select id="router">${report.routers.map(({ name }, i) => html`<option value="${i}">${name}</option>`)}</select>
<label for="threshold">Threshold</label>
<input id="threshold" type="range" min="0" max="1" step="any" value="${at?.threshold ?? 0.5}">
<dl class="figures" aria-live="polite">${cells.map(
    ([id, name, value]) => html`<div><dt>${name}</dt><dd id="${id}">${value}</dd></div>`,
  )}</dl>
</div>`
}

function savedText(router: RouterReport | undefined): string {
  const spent = router?.operating?.dollars_per_1k.value
  const all = router?.operating?.strong_dollars_per_1k
  return typeof spent === 'number' && all ? percent(1 - spent / all) : '-'
}

/** Histogram and reliability of every router. */
export function scoreFigures(plot: PlotModule, report: EvaluationReport): Markup {
  return html`${report.routers.map((router, i) => {
    const colour = seriesColour(i)
    const { reliability, operating } = router
    return html`<h3>${router.name}</h3>
<div class="pairs">
<figure>${withMarker(histogramChart(plot, router, colour), 'bins', String(i))}<figcaption>Win rates of ${count(report.rows)} prompts; the line is the threshold${
      operating?.source === 'default' && ' (not calibrated yet)'
    }.</figcaption></figure>
${
  reliability &&
  html`<figure>${reliabilityChart(plot, router, colour).svg}<figcaption>ECE ${score(reliability.ece)}, where a perfectly calibrated router would show ${score(reliability.ece_perfect)} by chance; Brier ${score(reliability.brier.value)}.</figcaption></figure>`
}
</div>`
  })}`
}
