import type { Decision } from '../../models/decision.ts'
import {
  type Exploration,
  flipProbability,
  StrongAllowance,
} from '../../models/online/exploration.ts'
import { promptHash } from '../../models/prompt-hash.ts'

/** Decides when the model that was not chosen answers, with a probability that is known. */
export interface Explorer {
  /** Once a request. */
  begin(): void
  /**
   * Probability with which this choice is turned into the pair's other model.
   *
   * @param turn what Thompson sampling alone would turn it with
   */
  probability(greedy: Decision, strong: string, turn?: number): number
  /** Whether it is, for this request; what is taken counts against the allowance. */
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
      // only a choice of the router's own, between two models that the request allows
      if (greedy.fallback || greedy.win_rate === null || !other?.eligible) return 0
      const flip = flipProbability(exploration, greedy.win_rate, greedy.threshold)
      const p = flip + turn - 2 * flip * turn
      return allowance && other.model === strong ? p * allowance.scale : p
    },
    takes(greedy, probability, strong) {
      if (uniform('explore', greedy.id) >= probability) return false
      if (greedy.model !== strong) allowance?.spend()
      return true
    },
    audits: (id) => audits > 0 && uniform('audit', id) < audits,
  }
}

/** 52 bits of a hash of the decision's id, uniform in [0, 1): the same request explores alike everywhere. */
const uniform = (purpose: string, id: string): number =>
  Number.parseInt(promptHash(`${purpose}\n${id}`).slice(0, 13), 16) / 2 ** 52
