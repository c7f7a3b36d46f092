import type { OnProgress } from '../../../core/progress.ts'
import { type PartialInterval, sideOf, UNDEFINED_INTERVAL } from '../../../core/stats/intervals.ts'
import { type Choice, type ChoiceRule, numberOf } from '../../../models/bundle/choice-rule.ts'
import type { Candidate } from '../../../models/bundle/manifest.ts'
import type { Expectations, LogTable } from '../log/model-table.ts'
import { spread } from '../report/verdict.ts'
import {
  emptyPoints,
  meanMixture,
  meanQuality,
  type Point,
  singlePoints,
  walkPath,
} from './frontier.ts'
import { type AtCost, measureFrontier } from './measure-frontier.ts'
import { policyPath, pricePath } from './policy-path.ts'

/** Reported budgets, as shares of the cost of the best single model. */
const BUDGETS = [0.25, 0.5, 0.75, 1]

export interface ReportedPoint {
  readonly cost_per_1k: number
  readonly quality: PartialInterval
  readonly above_best_single: PartialInterval
  readonly above_mixture: PartialInterval
}

/** Evaluation of one router among many models, on prompts it has not seen. */
export interface FrontierReport {
  readonly name: string
  readonly rows: number
  readonly rule: ChoiceRule
  readonly source: Choice['source']
  readonly cost_basis: string
  /** each single model, from the cheapest up, with its share of the rule's choices */
  readonly models: readonly {
    readonly model: string
    readonly role: Candidate['role']
    readonly cost_per_1k: number
    readonly quality: number
    readonly share: number
  }[]
  readonly best_single: string
  readonly operating: ReportedPoint
  readonly budgets: readonly (ReportedPoint & { readonly of_best_cost: number })[]
  /** mean quality over costs from the cheapest model's to the best one's */
  readonly area: PartialInterval
  readonly area_above_mixtures: PartialInterval
  /** the same area for an oracle that knows every outcome, and for the mixtures of single models */
  readonly oracle_area: number
  readonly mixture_area: number
  readonly curve: readonly Point[]
  /** whether it beats mixtures of single models over costs, and as it is set is not below a single one */
  readonly works: boolean
  readonly verdict: string
}

export interface ChoiceReportInput {
  readonly name: string
  readonly candidates: readonly Candidate[]
  readonly choice: Choice
  /** columns in the order of the candidates */
  readonly table: LogTable
  readonly expected: Expectations
  readonly replicates?: number | undefined
  readonly seed: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

const REPLICATES = 1000

export async function frontierReport(input: ChoiceReportInput): Promise<FrontierReport> {
  const { table, choice, candidates } = input
  const { rule } = choice
  const singles = singlePoints(table)
  const best = singles.indexOf(singles.reduce((a, b) => (b.quality > a.quality ? b : a)))
  const bestCost = singles[best]!.cost
  const measured = await measureFrontier({
    kind: rule.kind,
    table,
    expected: input.expected,
    budgets: BUDGETS.map((share) => share * bestCost),
    value: numberOf(rule),
    replicates: input.replicates ?? REPLICATES,
    seed: input.seed,
    signal: input.signal,
    onProgress: input.onProgress,
  })
  const { shares, ...operating } = measured.operating!
  const works = sideOf(measured.areaAbove) === 'above' && sideOf(operating.aboveSingle) !== 'below'
  return {
    name: input.name,
    rows: table.rows,
    rule,
    source: choice.source,
    cost_basis: table.basis,
    models: candidates
      .map(({ model, role }, k) => ({
        model,
        role,
        cost_per_1k: 1000 * singles[k]!.cost,
        quality: singles[k]!.quality,
        share: shares[k]!,
      }))
      .sort((a, b) => a.cost_per_1k - b.cost_per_1k),
    best_single: candidates[best]!.model,
    operating: reported(operating),
    budgets: measured.budgets.map((at, k) => ({ of_best_cost: BUDGETS[k]!, ...reported(at) })),
    area: measured.area,
    area_above_mixtures: measured.areaAbove,
    ...boundsOf(table, singles, best),
    curve: measured.curve,
    works,
    verdict: frontierVerdict(measured.areaAbove, operating.aboveSingle),
  }
}

/** Costs are reported in US dollars per 1,000 requests. */
function reported({ cost, quality, aboveSingle, aboveMixture }: AtCost): ReportedPoint {
  return {
    cost_per_1k: 1000 * cost,
    quality,
    above_best_single: aboveSingle.value === null ? UNDEFINED_INTERVAL : aboveSingle,
    above_mixture: aboveMixture.value === null ? UNDEFINED_INTERVAL : aboveMixture,
  }
}

function boundsOf(table: LogTable, singles: readonly Point[], best: number) {
  const truth = { quality: table.scores, costs: table.costs }
  const priced = pricePath(policyPath('best-value', truth, table.models.length), table)
  const points = walkPath(priced, undefined, emptyPoints(priced))
  const cheapest = singles.reduce((a, b) => (b.cost < a.cost ? b : a))
  const to = singles[best]!.cost
  return {
    oracle_area: meanQuality(points, cheapest.cost, to, cheapest.quality),
    mixture_area: meanMixture(singles, cheapest.cost, to),
  }
}

/**
 * What the figures say of a rule: first on average over what may be spent, then as it is set. The second is called
 * better only if the first is, so that the chance of any false claim stays that of the first.
 *
 * @param areaAbove mean quality over costs less that of the best mixtures of two single models
 * @param aboveSingle quality as the rule is set, less that of the best single model that costs no more
 */
export function frontierVerdict(areaAbove: PartialInterval, aboveSingle: PartialInterval): string {
  if (areaAbove.value === null) return 'undefined: the best model is also the cheapest one'
  const side = sideOf(areaAbove)
  const whole = {
    above: 'beats mixtures of single models on average over costs',
    below: 'worse than a coin between single models on average over costs',
    open: 'not distinguishable from a coin between single models on average over costs',
  }[side]
  const found = `${whole}: ${spread(areaAbove)}`
  const single = 'the best single model that costs no more'
  if (aboveSingle.value === null) return found
  const set = {
    above: side === 'above' ? `also beats ${single}` : `against ${single}`,
    below: `is worse than ${single}`,
    open: `is not distinguishable from ${single}`,
  }[sideOf(aboveSingle)]
  return `${found}; as it is set, ${set}: ${spread(aboveSingle)}`
}
