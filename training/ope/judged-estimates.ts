import type { Dataset, PairEstimates } from '../../data/dataset/dataset.ts'
import type { Observational } from '../../models/bundle/manifest.ts'
import { foldsOf } from './cross-fit.ts'
import type { SingleAnswers } from './overlap.ts'
import {
  calibratedNuisances,
  estimatesFrom,
  LEAST_PROPENSITY,
  overlapSummary,
} from './pair-estimates.ts'

/** Win rates on prompts that none of the routers was made from. */
export interface JudgedPrompts {
  /** indices into the dataset's prompts */
  readonly prompts: Int32Array
  /** one per router, in the order of `prompts` */
  readonly winRates: readonly ArrayLike<number>[]
}

/** With fewer single answers among the judged prompts the estimates stay as they are. */
const LEAST_JUDGED = 100
/**
 * Neither are they fitted again with fewer effective answers of either model: a fit to the judged prompts alone
 * then follows the few that weigh most, and is further off than the one to the whole log.
 */
const LEAST_REFITTED = 100
/** A router's win rates are cut into steps of at least this many effective answers, and into at most `MOST_STEPS`. */
const LEAST_STEP = 50
const MOST_STEPS = 10

/**
 * The dataset's estimates, refined on the prompts that routers are judged on by what their win rates say of who was
 * asked and of how well it answered. A figure is a mean over the prompts of some range of win rates, so what
 * is predicted should be right on average in each; and logs are often assigned by a router that is like
 * the judged ones, which words alone tell only bluntly. Estimates of other prompts stay as they are.
 *
 * Propensities and predicted scores are fitted again (cross-fitted, as before) on their logits, each router's
 * win rate as a logit, and steps of its rank.
 */
export async function withJudgedEstimates(
  dataset: Dataset,
  { prompts, winRates }: JudgedPrompts,
  seed: number,
): Promise<Dataset> {
  const { estimates } = dataset
  if (!estimates || winRates.length === 0) return dataset
  const judged = Array.from(prompts.keys()).filter(
    (i) => !Number.isNaN(estimates.propensity[prompts[i]!]!),
  )
  if (judged.length < LEAST_JUDGED) return dataset
  const singles = singlesAmong(
    dataset,
    Int32Array.from(judged, (i) => prompts[i]!),
  )
  const known = (column: 0 | 1): Float64Array =>
    Float64Array.from(singles.prompts, (prompt) => logit(estimates.predicted[2 * prompt + column]!))
  const [strong, weak] = [known(0), known(1)]
  const respondedTo = (column: 0 | 1): Float64Array =>
    Float64Array.from(singles.prompts, (prompt) => logit(estimates.response![2 * prompt + column]!))
  const asked = Float64Array.from(singles.prompts, (prompt) => logit(estimates.propensity[prompt]!))
  const { effective } = overlapSummary(singles, estimatesOf(singles.prompts, estimates))
  const answers = Math.min(effective.strong, effective.weak)
  if (answers < LEAST_REFITTED) return dataset
  const steps = Math.max(1, Math.min(MOST_STEPS, Math.floor(answers / LEAST_STEP)))
  const routers = winRates.flatMap((winRate) =>
    routerColumns(
      Float64Array.from(judged, (i) => winRate[i]!),
      steps,
    ),
  )
  const fold = foldsOf(dataset, seed)
  const pair = {
    strong: dataset.models[estimates.strong]!,
    weak: dataset.models[estimates.weak]!,
  }
  const refined = await calibratedNuisances(
    dataset,
    pair,
    singles,
    Uint8Array.from(singles.prompts, (prompt) => fold[prompt]!),
    {
      asked: [asked, strong, weak, ...routers],
      strong: [strong, ...routers],
      weak: [weak, ...routers],
      ...(estimates.response && {
        rated: [
          [respondedTo(0), strong, weak, ...routers],
          [respondedTo(1), strong, weak, ...routers],
        ] as const,
      }),
    },
  )
  const replaced = estimatesFrom(dataset, pair, singles, refined, estimates.summary, estimates)
  return {
    ...dataset,
    estimates: { ...replaced, summary: summaryAfter(dataset, replaced, estimates) },
  }
}

/** Which model answered each of the prompts, which one of the pair did, and whether the answer has a score. */
function singlesAmong(
  { outcomes, models, estimates }: Dataset,
  prompts: Int32Array,
): SingleAnswers {
  const m = models.length
  const { scores, unrated } = outcomes!
  const { strong: s, weak: w } = estimates!
  const isScored = (prompt: number, model: number): boolean =>
    !Number.isNaN(scores[prompt * m + model]!)
  const rated = Uint8Array.from(prompts, (prompt) =>
    isScored(prompt, s) || isScored(prompt, w) ? 1 : 0,
  )
  return {
    prompts,
    strong: Uint8Array.from(prompts, (prompt, i) =>
      (rated[i] === 1 ? isScored(prompt, s) : unrated![prompt * m + s] === 1) ? 1 : 0,
    ),
    rated,
  }
}

/** The propensities of prompts that have them. */
function estimatesOf(
  prompts: Int32Array,
  {
    propensity,
    response,
  }: { readonly propensity: Float64Array; readonly response?: Float64Array | undefined },
): Parameters<typeof overlapSummary>[1] {
  return {
    propensity: Float64Array.from(prompts, (i) => propensity[i]!),
    response:
      response &&
      Float64Array.from(
        { length: 2 * prompts.length },
        (_, at) => response[2 * prompts[at >> 1]! + (at & 1)]!,
      ),
    usable: new Uint8Array(prompts.length).fill(1),
  }
}

function summaryAfter(
  dataset: Dataset,
  { propensity, response }: PairEstimates,
  { summary, propensity: before }: PairEstimates,
): Observational {
  const usable = Int32Array.from(propensity.keys()).filter((i) => !Number.isNaN(propensity[i]!))
  const known = before.reduce((sum, e) => sum + (Number.isNaN(e) ? 0 : 1), 0)
  const dropped = known - usable.length
  const least = LEAST_PROPENSITY[summary.propensities === 'logged' ? 'logged' : 'estimated']
  return {
    ...summary,
    used: summary.used - dropped,
    excluded: summary.excluded + dropped,
    method: `${summary.method}; on the judged prompts both fitted again on the routers’ win rates`,
    ...overlapSummary(singlesAmong(dataset, usable), estimatesOf(usable, { propensity, response })),
    regions: [
      ...summary.regions,
      ...(dropped > 0
        ? [
            `${dropped.toLocaleString('en-US')} more prompts with win rates that nearly always went to the same model (propensity under ${least})${summary.response ? ', or whose answers are hardly ever rated' : ''}`,
          ]
        : []),
    ],
  }
}

/** The win rate's logit, and one column per step of its rank: 1 from that step on. */
function routerColumns(winRate: Float64Array, steps: number): Float64Array[] {
  const n = winRate.length
  const sorted = winRate.toSorted()
  const edges = Array.from(
    { length: steps - 1 },
    (_, k) => sorted[Math.floor(((k + 1) * n) / steps)]!,
  )
  return [winRate.map(logit), ...edges.map((edge) => winRate.map((w) => (w >= edge ? 1 : 0)))]
}

const EDGE = 1e-6
const logit = (p: number): number => {
  const inside = Math.min(1 - EDGE, Math.max(EDGE, p))
  return Math.log(inside / (1 - inside))
}
