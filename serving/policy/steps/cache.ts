import { promptHash } from '../../../core/hash.ts'
import type { ServePlan } from '../../gateway/contracts.ts'
import type { StepFactory, StepState } from '../step.ts'

export interface DecisionCacheOptions {
  readonly minutes: number
  readonly entries?: number
}

/** What was decided of requests, by all that decisions look at. Bounded; the least used goes first. */
class DecisionCache {
  readonly #options: DecisionCacheOptions
  readonly #plans = new Map<string, { readonly plan: ServePlan; readonly until: number }>()

  constructor(options: DecisionCacheOptions) {
    this.#options = options
  }

  get(key: string, time: number): ServePlan | undefined {
    const kept = this.#plans.get(key)
    if (!kept || kept.until <= time) return undefined
    // set again, so that the map's order is by last use
    this.#plans.delete(key)
    this.#plans.set(key, kept)
    return kept.plan
  }

  set(key: string, plan: ServePlan, time: number): void {
    this.#plans.delete(key)
    this.#plans.set(key, { plan, until: time + this.#options.minutes * 60_000 })
    const oldest = this.#plans.keys().next().value
    if (this.#plans.size > (this.#options.entries ?? 10_000) && oldest !== undefined) {
      this.#plans.delete(oldest)
    }
  }
}

/** Names a request among all others: its key, its words, what it says of routing, and the models left to it. */
function decisionKey({ request, traits, open }: StepState): string {
  const { body, caller, hints } = request
  const { explain: _, ...asked } = hints
  const { model, messages, tools } = body
  return promptHash(
    JSON.stringify([model, caller.name, messages, tools ?? null, asked, traits.tags, open]),
  )
}

const STEP = 'cache'

/** The same request is decided as it was, by whatever step after this one, for as long as the file says. */
export const cacheStep: StepFactory = ({ file }) => {
  if (!file.cache) return undefined
  const cache = new DecisionCache(file.cache)
  /** what was looked for and not found: to be kept once it is decided */
  const missed = new WeakMap<StepState, string>()
  return {
    name: STEP,
    decide(state) {
      const key = decisionKey(state)
      const plan = cache.get(key, state.request.time)
      if (!plan) {
        missed.set(state, key)
        return undefined
      }
      const { step, name } = plan.deciding
      const deciding = { step: STEP, reason: step, ...(name === undefined ? {} : { name }) }
      return { ...plan, deciding }
    },
    decided(state, plan) {
      const key = missed.get(state)
      if (key !== undefined) cache.set(key, plan, state.request.time)
    },
  }
}
