import { DecisionCache, decisionKey } from '../decision-cache.ts'
import type { StepFactory, StepState } from '../step.ts'

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
