import type { EvaluationReport, RouterReport } from '../../training/evaluate/report.ts'
import { type Drawing, draw, type PlotModule } from './plot.ts'
import { publishedPoints } from './published-points.ts'

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

/** Every router's curve with its band, the baselines, the operating points and what others have published. */
export function costQualityChart(
  plot: PlotModule,
  report: EvaluationReport,
  width: number,
): Drawing {
  const rows = (band: NonNullable<RouterReport['chart']>['band']): Row[] =>
    band.value.map((value, step) => ({
      share: step / (band.value.length - 1),
      value,
      low: band.low[step]!,
      high: band.high[step]!,
    }))
  const series = report.routers.flatMap(({ chart }) => (chart ? [rows(chart.band)] : []))
  const end = report.quality.clear ? 1 : report.quality.gap.value!
  const highest = Math.max(end, ...series.flat().map(({ high }) => high)) + 0.05 * Math.abs(end)
  const lowest = Math.min(0, ...series.flat().map(({ low }) => low))
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
      ...BASELINES_DRAWN.flatMap(({ name, dash }) => {
        const chart = report.baselines[name]?.chart
        return chart
          ? [
              plot.line(rows(chart.band), {
                x: 'share',
                y: 'value',
                stroke: 'var(--muted)',
                strokeDasharray: dash,
                clip: true,
              }),
            ]
          : []
      }),
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

/** How many prompts the router gives each win rate. */
export function histogramChart(plot: PlotModule, router: RouterReport, colour: string): Drawing {
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

/** What the router said against what happened, in bins of equal size. */
export function reliabilityChart(plot: PlotModule, router: RouterReport, colour: string): Drawing {
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
