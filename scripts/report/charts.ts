import type { ModelPair } from '../../models/bundle/with-pair.ts'
import type { EvaluationReport, RouterReport } from '../../training/evaluate/report/report.ts'
import { html, Markup } from './markup.ts'
import { count, dollars, percent, score } from './number-format.ts'
import { type Drawing, draw, type PlotModule } from './plot.ts'

/** Series colours are CSS variables, so that one drawing serves light, dark and print. */
export const seriesColour = (index: number): string => `var(--series-${index % 8})`

const BASELINES_DRAWN = [
  { name: 'prompt_length', dash: '6 3' },
  { name: 'category_prior', dash: '2 3' },
  { name: 'knn', dash: '9 3 2 3' },
  { name: 'oracle', dash: '1 4' },
] as const

interface Row {
  readonly share: number
  readonly value: number
  readonly low: number
  readonly high: number
}

/** Every router's curve with its band, the baselines, the operating points and published results. */
function costQualityChart(plot: PlotModule, report: EvaluationReport, width: number): Drawing {
  const rows = (band: NonNullable<RouterReport['chart']>['band']): Row[] =>
    band.value.map((value, step) => ({
      share: step / (band.value.length - 1),
      value,
      low: band.low[step]!,
      high: band.high[step]!,
    }))
  const series = report.routers.flatMap(({ chart }) => (chart ? [rows(chart.band)] : []))
  const end = report.quality.clear ? 1 : report.quality.gap.value!
  const baselines = BASELINES_DRAWN.flatMap(({ name, dash }) => {
    const chart = report.baselines[name]?.chart
    return chart ? [{ dash, rows: rows(chart.band) }] : []
  })
  const drawn = baselines.flatMap(({ rows }) => rows.map(({ value }) => value))
  const highest =
    Math.max(end, ...drawn, ...series.flat().map(({ high }) => high)) + 0.05 * Math.abs(end)
  const lowest = Math.min(0, ...drawn, ...series.flat().map(({ low }) => low))
  const published = report.quality.clear ? publishedPoints(report.pair) : []
  const narrow = width < 500
  const label = report.quality.clear ? 'gap recovered (PGR)' : 'mean score over all-weak'
  return draw(plot, `Cost-quality curve: ${label} against the share of prompts sent strong`, {
    width,
    height: narrow ? 300 : 430,
    marginLeft: 44,
    marginRight: 16,
    marginBottom: 38,
    style: { fontSize: '12px' },
    x: {
      domain: [0, 1],
      label: 'prompts sent to the strong model',
      tickFormat: '.0%',
      ticks: narrow ? 4 : 10,
    },
    y: { domain: [lowest, highest], label, grid: true },
    marks: [
      plot.line(
        [
          [0, 0],
          [1, end],
        ],
        { stroke: 'var(--muted)', strokeWidth: 1 },
      ),
      ...baselines.map(({ dash, rows }) =>
        plot.line(rows, { x: 'share', y: 'value', stroke: 'var(--muted)', strokeDasharray: dash }),
      ),
      ...series.map((data, i) =>
        plot.areaY(data, {
          x: 'share',
          y1: 'low',
          y2: 'high',
          fill: seriesColour(i),
          fillOpacity: 0.13,
          clip: true,
        }),
      ),
      ...series.map((data, i) =>
        plot.line(data, {
          x: 'share',
          y: 'value',
          stroke: seriesColour(i),
          strokeWidth: 2,
          clip: true,
        }),
      ),
      plot.dot(published, { x: 'share', y: 'pgr', symbol: 'times', stroke: 'currentColor', r: 4 }),
      ...(narrow
        ? []
        : [
            plot.text(
              published.filter(({ pgr }) => pgr === 0.8),
              {
                x: 'share',
                y: 'pgr',
                text: 'label',
                dy: -12,
                fill: 'currentColor',
                stroke: 'var(--page)',
                strokeWidth: 3,
              },
            ),
          ]),
    ],
  })
}

/** Number of prompts by the router's win rate. */
function histogramChart(plot: PlotModule, router: RouterReport, colour: string): Drawing {
  const bins = router.chart?.histogram ?? []
  return draw(plot, `How ${router.name}'s win rates are spread`, {
    width: 350,
    height: 190,
    marginLeft: 48,
    style: { fontSize: '12px' },
    x: { domain: [0, 1], label: 'win rate', ticks: 5 },
    y: { label: 'prompts', grid: true, ticks: 4, tickFormat: 's' },
    marks: [
      plot.rectY(
        bins.map((prompts, i) => ({ from: i / bins.length, to: (i + 1) / bins.length, prompts })),
        { x1: 'from', x2: 'to', y: 'prompts', fill: colour, insetLeft: 0.5, insetRight: 0.5 },
      ),
      plot.ruleY([0]),
    ],
  })
}

/** The router's win rate against the observed outcomes, in bins of equal size. */
function reliabilityChart(plot: PlotModule, router: RouterReport, colour: string): Drawing {
  const bins = (router.reliability?.bins ?? []).map(({ predicted, observed }) => ({
    predicted,
    observed: observed.value!,
    low: observed.low ?? observed.value!,
    high: observed.high ?? observed.value!,
  }))
  const all = bins.flatMap(({ predicted, low, high }) => [predicted, low, high])
  const domain: [number, number] = [Math.max(0, Math.min(...all)), Math.min(1, Math.max(...all))]
  return draw(plot, `Reliability of ${router.name}: observed against predicted win rate`, {
    width: 350,
    height: 190,
    marginLeft: 48,
    style: { fontSize: '12px' },
    x: { domain, label: 'predicted win rate', ticks: 5 },
    y: { domain, label: 'observed', grid: true, ticks: 4 },
    marks: [
      plot.line(
        [
          [domain[0], domain[0]],
          [domain[1], domain[1]],
        ],
        { stroke: 'var(--muted)', strokeDasharray: '4 3' },
      ),
      plot.ruleX(bins, { x: 'predicted', y1: 'low', y2: 'high', stroke: colour, clip: true }),
      plot.dot(bins, { x: 'predicted', y: 'observed', fill: colour, r: 3 }),
    ],
  })
}

/** Published results for a pair of models. */
export interface PublishedPoint {
  readonly label: string
  readonly share: number
  readonly pgr: number
}

/** Best router of Ong et al. 2024 (arXiv 2406.18665, tables 1 to 3): CPT(50%) and CPT(80%) per benchmark. */
const ROUTE_LLM: readonly PublishedPoint[] = [
  { label: 'MT-Bench', share: 0.134, pgr: 0.5 },
  { label: 'MT-Bench', share: 0.313, pgr: 0.8 },
  { label: 'MMLU', share: 0.354, pgr: 0.5 },
  { label: 'MMLU', share: 0.716, pgr: 0.8 },
  { label: 'GSM8K', share: 0.336, pgr: 0.5 },
  { label: 'GSM8K', share: 0.633, pgr: 0.8 },
]

/** Points for the same two models, on any prompts they were published for. */
function publishedPoints(pair: ModelPair | null): readonly PublishedPoint[] {
  if (!pair) return []
  const same = /gpt-4-1106/i.test(pair.strong) && /mixtral-8x7b/i.test(pair.weak)
  return same ? ROUTE_LLM : []
}

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
${SAVE_BUTTONS}
<ul class="legend">
${report.routers.map(({ name }, i) => key(name, seriesColour(i), ''))}
${key('random', 'var(--muted)', '')}${key('prompt length', 'var(--muted)', '6 3')}
${report.baselines.category_prior && key('category prior', 'var(--muted)', '2 3')}
${report.baselines.knn && key('kNN', 'var(--muted)', '9 3 2 3')}${report.baselines.oracle && key('oracle', 'var(--muted)', '1 4')}
</ul>
<figcaption>Up and to the left is better. Bands hold 95% of ${count(Math.min(200, report.replicates))} bootstrap draws of the prompts.${report.baselines.oracle && ' The oracle knows the answers; no router can.'}${
    /gpt-4-1106/i.test(report.pair?.strong ?? '') &&
    ' Crosses are CPT(50%) and CPT(80%) as published by RouteLLM for this pair of models, on the benchmark named.'
  }</figcaption>
</figure>`
}

/** Saves the drawing of its figure; made in the browser. */
export const SAVE_BUTTONS = html`<div class="save"><button type="button" data-as="png">Save as PNG</button><button type="button" data-as="svg">Save as SVG</button></div>`

export function key(name: string, colour: string, dash: string): Markup {
  return html`<li><svg width="26" height="10" aria-hidden="true"><line x1="0" x2="26" y1="5" y2="5" style="stroke:${colour}" stroke-width="2.5" stroke-dasharray="${dash}"/></svg>${name}</li>`
}

/** A mark that the script moves; hidden without the script. */
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
