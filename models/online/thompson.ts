import type { BanditPrediction } from './linear-bandit.ts'

/** Least probability of either model, so that what Thompson sampling logs can be used off-policy. */
const LEAST = 0.01

/**
 * Probability that a draw from both posteriors prefers the strong model by more than `price`: the two are
 * independent and normal, so Thompson sampling's propensity is known without sampling.
 */
export function thompsonProbability(
  strong: BanditPrediction,
  weak: BanditPrediction,
  price: number,
): number {
  const deviation = Math.hypot(strong.deviation, weak.deviation)
  const margin = strong.mean - weak.mean - price
  const p = deviation > 0 ? normalBelow(margin / deviation) : margin >= 0 ? 1 : 0
  return Math.min(1 - LEAST, Math.max(LEAST, p))
}

/** The other rule: optimism. Strong where its upper bound, less the price, reaches the weak one's. */
export function prefersStrongUcb(
  strong: BanditPrediction,
  weak: BanditPrediction,
  price: number,
  width = 1,
): boolean {
  const bound = ({ mean, deviation }: BanditPrediction): number => mean + width * deviation
  return bound(strong) - price >= bound(weak)
}

/** P(Z <= x), to 7.5e-8 (Abramowitz and Stegun 26.2.17). */
function normalBelow(x: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(x))
  const series =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  const tail = (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * series
  return x >= 0 ? 1 - tail : tail
}
