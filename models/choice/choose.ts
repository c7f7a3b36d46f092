import type { ChoiceRule } from './rule.ts'

/**
 * Whether model `a` goes before model `b` by value: the larger q - lambda c; of equal ones the better, then the
 * cheaper. So two models of equal value are decided as a threshold decides a win rate that just reaches it.
 */
const better = (
  lambda: number,
  quality: ArrayLike<number>,
  costs: ArrayLike<number>,
  a: number,
  b: number,
): boolean => {
  const gap = quality[a]! - lambda * costs[a]! - (quality[b]! - lambda * costs[b]!)
  if (gap !== 0) return gap > 0
  const finer = quality[a]! - quality[b]!
  return finer === 0 ? costs[a]! < costs[b]! : finer > 0
}

/**
 * The candidates in the order in which they should be tried, into `order` (m indices, any permutation of the
 * candidates to start with). By value: from the largest down. Within a loss: those within it from the cheapest
 * up, then the rest from the best down. `allowed` (m, 1 where the request allows it) first, what is not last;
 * the best one that a loss is counted from is an allowed one.
 *
 * Insertion sort: m is small and nothing is allocated.
 */
export function choiceOrder(
  rule: ChoiceRule,
  quality: ArrayLike<number>,
  costs: ArrayLike<number>,
  allowed: ArrayLike<number> | undefined,
  order: Int32Array,
): Int32Array {
  let floor = Number.NEGATIVE_INFINITY
  if (rule.kind === 'cheapest-within') {
    for (const k of order) if (!allowed || allowed[k]) floor = Math.max(floor, quality[k]!)
    floor -= rule.loss
  }
  const before = (a: number, b: number): boolean => {
    if (allowed && allowed[a] !== allowed[b]) return allowed[a] === 1
    if (rule.kind === 'best-value') return better(rule.lambda, quality, costs, a, b)
    const within = quality[a]! >= floor
    if (within !== quality[b]! >= floor) return within
    if (!within) return better(0, quality, costs, a, b)
    const cheaper = costs[b]! - costs[a]!
    return cheaper === 0 ? quality[a]! > quality[b]! : cheaper > 0
  }
  for (let i = 1; i < order.length; i++) {
    const item = order[i]!
    let j = i
    for (; j > 0 && before(item, order[j - 1]!); j--) order[j] = order[j - 1]!
    order[j] = item
  }
  return order
}

/** 0 .. m - 1 */
export const firstOrder = (m: number): Int32Array => Int32Array.from({ length: m }, (_, k) => k)
