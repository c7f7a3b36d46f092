import type { OnProgress } from '../../../core/progress.ts'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import { type PartialInterval, percentileInterval } from '../../../core/stats/intervals.ts'
import type { ChoiceKind } from '../../../models/bundle/choice-rule.ts'
import type { Expectations, ModelTable } from '../log/model-table.ts'
import {
  bestMixture,
  bestSingle,
  emptyPoints,
  meanMixture,
  meanQuality,
  type PathPoints,
  type Point,
  qualityAt,
  singlePoints,
  walkPath,
} from './frontier.ts'
import { choicesAt, policyPath, pricePath } from './policy-path.ts'

/** What a rule reaches at a given cost. Intervals are 95%, bootstrap over prompts, paired. */
export interface AtCost {
  /** US dollars per request */
  readonly cost: number
  readonly quality: PartialInterval
  /** difference to the best single model, on these prompts, that costs no more */
  readonly aboveSingle: PartialInterval
  /** difference to the best mixture of two single models (random for each prompt) that costs no more */
  readonly aboveMixture: PartialInterval
}

export interface FrontierMeasure {
  /** at each requested budget, with the rule's number chosen so that no more is spent */
  readonly budgets: readonly AtCost[]
  /** at the rule's number, compared at the cost that it results in */
  readonly operating?: AtCost & { readonly shares: readonly number[] }
  /** mean quality over costs from the cheapest model's to the best one's */
  readonly area: PartialInterval
  /** that mean minus the same mean of the best mixtures of single models */
  readonly areaAbove: PartialInterval
  /** stops of the path on all prompts, thinned out */
  readonly curve: readonly Point[]
}

export interface MeasureInput {
  readonly kind: ChoiceKind
  readonly table: ModelTable
  readonly expected: Expectations
  /** budgets to measure at, in US dollars per request */
  readonly budgets: readonly number[]
  /** the rule's number, where there is one */
  readonly value?: number
  readonly replicates: number
  readonly seed: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

const CURVE_POINTS = 100

/** A reference chosen once: one model, or two with a share. */
interface Reference {
  readonly low: number
  readonly high: number
  /** share of the prompts that go to `high` */
  readonly share: number
}

/** Measures one rule over all its numbers against every single model and their mixtures. */
export async function measureFrontier(input: MeasureInput): Promise<FrontierMeasure> {
  const { table, expected, budgets } = input
  const m = table.models.length
  const path = policyPath(input.kind, expected, m)
  const priced = pricePath(path, table)
  const points = walkPath(priced, undefined, emptyPoints(priced))
  const singles = singlePoints(table)
  const operating = input.value === undefined ? undefined : operatingPoint(input, path)
  const places = [...budgets, ...(operating ? [operating.cost] : [])]
  const references = places.map((cost) => ({
    single: singleReference(singles, cost),
    mixture: mixtureReference(singles, cost),
  }))
  const whole = figures(points, singles, places, references, operating?.quality)
  const replicates = await bootstrap(
    input,
    (counts, scratch) => {
      const sampled = walkPath(priced, counts, scratch)
      const own = operating && weightedMean(operating.scores, counts)
      return figures(sampled, singlePoints(table, counts), places, references, own)
    },
    emptyPoints(priced),
  )
  const interval = (of: (figure: Figures) => number): PartialInterval =>
    percentileInterval(of(whole), Float64Array.from(replicates, of))
  const at = (k: number): AtCost => ({
    cost: places[k]!,
    quality: interval(({ quality }) => quality[k]!),
    aboveSingle: interval(({ quality, single }) => quality[k]! - single[k]!),
    aboveMixture: interval(({ quality, mixture }) => quality[k]! - mixture[k]!),
  })
  return {
    budgets: budgets.map((_, k) => at(k)),
    ...(operating && { operating: { ...at(budgets.length), shares: operating.shares } }),
    area: interval(({ area }) => area),
    areaAbove: interval(({ area, singleArea }) => area - singleArea),
    curve: thinned(points),
  }
}

function operatingPoint({ value, table }: MeasureInput, path: ReturnType<typeof policyPath>) {
  const m = table.models.length
  const choices = choicesAt(path, value!)
  const scores = Float64Array.from(choices, (model, i) => table.scores[i * m + model]!)
  const costs = Float64Array.from(choices, (model, i) => table.costs[i * m + model]!)
  const shares = table.models.map(
    (_, model) => choices.reduce((sum, k) => sum + (k === model ? 1 : 0), 0) / choices.length,
  )
  return { scores, cost: weightedMean(costs), quality: weightedMean(scores), shares }
}

interface Figures {
  readonly quality: readonly number[]
  readonly single: readonly number[]
  readonly mixture: readonly number[]
  readonly area: number
  readonly singleArea: number
}

function figures(
  points: PathPoints,
  singles: readonly Point[],
  places: readonly number[],
  references: readonly { single: Reference | undefined; mixture: Reference | undefined }[],
  operating: number | undefined,
): Figures {
  const cheapest = singles.reduce((a, b) => (b.cost < a.cost ? b : a))
  const best = singles.reduce((a, b) => (b.quality > a.quality ? b : a))
  const last = operating === undefined ? -1 : places.length - 1
  return {
    quality: places.map((cost, k) => (k === last ? operating! : qualityAt(points, cost))),
    single: references.map(({ single }) => referenceQuality(single, singles)),
    mixture: references.map(({ mixture }) => referenceQuality(mixture, singles)),
    area: meanQuality(points, cheapest.cost, best.cost, cheapest.quality),
    singleArea: meanMixture(singles, cheapest.cost, best.cost),
  }
}

function referenceQuality(reference: Reference | undefined, singles: readonly Point[]): number {
  if (!reference) return Number.NaN
  const { low, high, share } = reference
  return (1 - share) * singles[low]!.quality + share * singles[high]!.quality
}

/** Chosen once, on all prompts: replicates then vary its score, not which model it is. */
function singleReference(singles: readonly Point[], budget: number): Reference | undefined {
  const quality = bestSingle(singles, budget)
  const model = singles.findIndex((point) => point.quality === quality && point.cost <= budget)
  return model < 0 ? undefined : { low: model, high: model, share: 0 }
}

function mixtureReference(singles: readonly Point[], budget: number): Reference | undefined {
  const best = bestMixture(singles, budget)
  const alone = singleReference(singles, budget)
  if (!alone || singles[alone.low]!.quality === best) return alone
  for (const [low, from] of singles.entries()) {
    if (from.cost > budget) continue
    for (const [high, to] of singles.entries()) {
      if (to.cost <= budget || to.quality <= from.quality) continue
      const share = (budget - from.cost) / (to.cost - from.cost)
      if (from.quality + share * (to.quality - from.quality) === best) return { low, high, share }
    }
  }
  return alone
}

async function bootstrap(
  { table, replicates, seed, signal, onProgress }: MeasureInput,
  measure: (counts: Uint8Array, scratch: PathPoints) => Figures,
  scratch: PathPoints,
): Promise<Figures[]> {
  const random = createRandom(deriveSeed(seed, 'bootstrap'))
  const counts = new Uint8Array(table.rows)
  const drawn: Figures[] = []
  let breath = performance.now()
  for (let b = 0; b < replicates; b++) {
    random.resample(counts)
    drawn.push(measure(counts, scratch))
    if (performance.now() - breath < 50) continue
    onProgress?.({ stage: 'bootstrap', done: b + 1, total: replicates })
    await new Promise((resolve) => setImmediate(resolve))
    signal?.throwIfAborted()
    breath = performance.now()
  }
  return drawn
}

function weightedMean(values: Float64Array, counts?: ArrayLike<number>): number {
  let sum = 0
  let drawn = 0
  for (let i = 0; i < values.length; i++) {
    const count = counts ? counts[i]! : 1
    sum += count * values[i]!
    drawn += count
  }
  return sum / drawn
}

/** Evenly spaced stops, from the most expensive to the cheapest, both ends kept. */
function thinned({ points, cost, quality }: PathPoints): Point[] {
  const wanted = Math.min(points, CURVE_POINTS)
  return Array.from({ length: wanted }, (_, i) => {
    const k = wanted === 1 ? 0 : Math.round((i * (points - 1)) / (wanted - 1))
    return { cost: cost[k]!, quality: quality[k]! }
  })
}
