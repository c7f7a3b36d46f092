/**
 * The area under PGR against strong share of a router that ranks prompts by `score`, in expectation
 * over the answers, where `gain` is each prompt's pStrong - pWeak. Ranked by the gain itself it is the
 * best any router can do. Prompts with equal scores move together, so the curve is linear across them.
 */
export function expectedApgr(scores: readonly number[], gain: readonly number[]): number {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!)
  const total = gain.reduce((sum, value) => sum + value, 0)
  let area = 0
  let reached = 0
  for (let start = 0; start < order.length; ) {
    let end = start
    let group = 0
    while (end < order.length && scores[order[end]!] === scores[order[start]!])
      group += gain[order[end++]!]!
    area += (end - start) * (reached + group / 2)
    reached += group
    start = end
  }
  return area / (order.length * total)
}
