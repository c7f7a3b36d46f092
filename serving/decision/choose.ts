import type { Decision } from '../../models/decision.ts'
import type { LiveRouter } from '../fleet/live-router.ts'
import type { OnlineLearner } from '../online/learner.ts'
import type { DeadlineQueue } from './deadline.ts'
import type { Explorer } from './explorer.ts'
import type { Prepared } from './prepared.ts'
import type { Scored } from './scoring.ts'
import { splitPropensities } from './split.ts'

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

/** Chooses over the arms of a split, with exploration and online advice, so that every choice has its propensity. */
export function createChooser({ decideBy, score, deadlines, explorer, online }: ChooserOptions) {
  const flip = (live: LiveRouter, greedy: Decision, { advice }: Scored): number =>
    !explorer || (advice?.barred && greedy.model !== live.strong)
      ? 0
      : explorer.probability(greedy, live.strong, advice?.turn)

  return async (prepared: Prepared, scored: Scored): Promise<Decision> => {
    const { live: own, target } = prepared
    if (!explorer && target.arms.length === 1) return decideBy(own, prepared, scored)
    // for the propensity, what the other arms say must be known too
    const arms = await Promise.all(
      target.arms.map(async ({ live, share }) => {
        const said = live === own ? scored : await score(live, prepared)
        const features = online && (await deadlines.within(online.features(live, prepared, said)))
        return { live, share, said, features }
      }),
    )
    // nothing is waited for from here on, so that no budget is spent twice
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
