import type { PolicyProbabilities } from './logged.ts'

/** A pair's two models in the order of the actions: weak is 0, strong is 1. */
export const WEAK = 0
export const STRONG = 1

/** n x 2: strong wherever the win rate reaches the threshold. */
export function thresholdPolicy(winRate: Float64Array, threshold: number): PolicyProbabilities {
  const out = new Float64Array(2 * winRate.length)
  for (let i = 0; i < winRate.length; i++) {
    out[2 * i + (winRate[i]! >= threshold ? STRONG : WEAK)] = 1
  }
  return out
}
