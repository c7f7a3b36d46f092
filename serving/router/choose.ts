import { placeOf } from '../../core/hash.ts'
import type { Manifest } from '../../models/bundle/manifest.ts'
import type { Decision } from '../../models/decision/decision.ts'
import {
  type Exploration,
  flipProbability,
  StrongAllowance,
} from '../../models/online/exploration.ts'
import type { DeadlineQueue } from './deadline.ts'
import type { OnlineLearner } from './learner.ts'
import type { LiveRouter } from './live-router.ts'
import type { Scored } from './scoring.ts'
import type { Arm, Prepared, Target } from './snapshot.ts'

/** The decision of one version of a router. */
export type DecideBy = (
  live: LiveRouter,
  prepared: Prepared,
  scored: Scored,
  propensities?: Float64Array,
  explored?: boolean,
) => Decision

export interface ChooserOptions {
  readonly decideBy: DecideBy
  readonly score: (live: LiveRouter, prepared: Prepared) => Promise<Scored> | Scored
  readonly deadlines: DeadlineQueue
  readonly explorer: Explorer | undefined
  readonly online: OnlineLearner | undefined
}

/**
 * Chooses among the arms of a split, with exploration and online advice, so that every choice has a
 * propensity.
 */
export function createChooser({ decideBy, score, deadlines, explorer, online }: ChooserOptions) {
  const flip = (live: LiveRouter, greedy: Decision, { advice }: Scored): number =>
    !explorer || (advice?.barred && greedy.model !== live.strong)
      ? 0
      : explorer.probability(greedy, live.strong, advice?.turn)

  return async (prepared: Prepared, scored: Scored): Promise<Decision> => {
    const { live: own, target } = prepared
    if (!explorer && target.arms.length === 1) return decideBy(own, prepared, scored)
    // the propensity also needs the other arms' decisions
    const arms = await Promise.all(
      target.arms.map(async ({ live, share }) => {
        const said = live === own ? scored : await score(live, prepared)
        const features = online && (await deadlines.within(online.features(live, prepared, said)))
        return { live, share, said, features }
      }),
    )
    // nothing is awaited from here on, so that no budget is spent twice
    explorer?.begin()
    online?.begin(own)
    let mine = scored
    let features: Float32Array | undefined
    const choices = arms.flatMap((arm) => {
      const { live, share, said } = arm
      const advice = online?.advise(live, prepared, said, arm.features)
      const its = advice ? { ...said, advice } : said
      if (live === own) {
        mine = its
        features = arm.features
      }
      const greedy = decideBy(live, prepared, its)
      const p = flip(live, greedy, its)
      const choice = { share: share * (1 - p), model: greedy.model }
      return p > 0 ? [choice, { share: share * p, model: greedy.candidates[1]!.model }] : [choice]
    })
    const propensities = splitPropensities(own.router.manifest, choices)
    const greedy = decideBy(own, prepared, mine, propensities)
    const p = flip(own, greedy, mine)
    const decision =
      p > 0 && explorer?.takes(greedy, p, own.strong)
        ? decideBy(own, prepared, mine, propensities, true)
        : greedy
    online?.decided(decision, own, scored, features)
    return decision
  }
}

/** The arm of a session: always the same one while the split stays unchanged. */
export function chooseArm(target: Target, key: string): Arm {
  const { arms } = target
  if (arms.length === 1) return arms[0]!
  let at = placeOf(target.name, key)
  for (const arm of arms) {
    if (at < arm.share) return arm
    at -= arm.share
  }
  return arms.at(-1)!
}

/**
 * Probability of each of the answering router's candidates over the arms of a split: the sum of the shares of
 * the arms that would have chosen it.
 */
function splitPropensities(
  manifest: Manifest,
  choices: readonly { readonly model: string; readonly share: number }[],
): Float64Array {
  const out = new Float64Array(manifest.candidates.length)
  for (const { model, share } of choices) {
    const index = manifest.candidates.findIndex((candidate) => candidate.model === model)
    if (index >= 0) out[index]! += share
  }
  return out
}

/** Decides, with a known probability, when the model that was not chosen answers. */
export interface Explorer {
  /** Called once per request. */
  begin(): void
  /**
   * Probability of replacing this choice by the pair's other model.
   *
   * @param turn the probability that Thompson sampling alone would use
   */
  probability(greedy: Decision, strong: string, turn?: number): number
  /** Whether this request is explored; if so, it counts against the allowance. */
  takes(greedy: Decision, probability: number, strong: string): boolean
  /** Whether both models should answer this request. */
  audits(id: string): boolean
}

export function createExplorer(exploration: Exploration): Explorer {
  const { max_strong_per_1000: most, audits = 0 } = exploration
  const allowance = most === undefined ? undefined : new StrongAllowance(most)
  return {
    begin: () => allowance?.accrue(),
    probability(greedy, strong, turn = 0) {
      const other = greedy.candidates[1]
      // only choices made by the router itself, between two models that the request allows
      if (greedy.fallback || greedy.win_rate === null || !other?.eligible) return 0
      if (greedy.reason === 'only_allowed') return 0
      const flip = flipProbability(exploration, greedy.win_rate, greedy.threshold)
      const p = flip + turn - 2 * flip * turn
      return allowance && other.model === strong ? p * allowance.scale : p
    },
    takes(greedy, probability, strong) {
      if (placeOf('explore', greedy.id) >= probability) return false
      if (greedy.model !== strong) allowance?.spend()
      return true
    },
    audits: (id) => audits > 0 && placeOf('audit', id) < audits,
  }
}
