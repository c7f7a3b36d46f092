const BETA = 0.1
/** US dollars a 1,000 requests of the dearest and the cheapest router on its board */
const COST_MAX = 200
const COST_MIN = 0.0044

/**
 * RouterArena's score in [0, 1] (Lu et al. 2025, arXiv 2510.00202): the weighted harmonic mean of accuracy and of
 * where log2 of the cost lies between the dearest and the cheapest. Costs outside that range count as its ends.
 */
export function routerArenaScore(accuracy: number, dollarsPer1k: number): number {
  const cost = Math.min(COST_MAX, Math.max(COST_MIN, dollarsPer1k))
  const thrift = Math.log2(COST_MAX / cost) / Math.log2(COST_MAX / COST_MIN)
  const below = BETA * accuracy + thrift
  return below > 0 ? ((1 + BETA) * accuracy * thrift) / below : 0
}
