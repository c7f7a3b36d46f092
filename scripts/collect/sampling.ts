import { createHash } from 'node:crypto'
import { WeirError } from '../../core/errors.ts'
import { createRandom } from '../../core/random.ts'

/** How prompts are drawn: the rule, and what it needs. */
export type SamplingRule =
  | { readonly kind: 'uniform' }
  /** prompts of each group, more evenly than they come */
  | { readonly kind: 'stratified'; readonly groups: readonly (string | undefined)[] }
  /** prompts where a router is unsure, more often than others */
  | { readonly kind: 'active'; readonly winRates: ArrayLike<number> }

/** A drawn prompt. */
export interface Drawn {
  /** index into the prompts */
  readonly index: number
  /** the probability with which this prompt was drawn */
  readonly propensity: number
}

/**
 * Least chance of a prompt under the active rule, as a share of the largest: no weight of a drawn prompt is then more
 * than 1 / this, and every kind of prompt stays in the sample.
 */
const ACTIVE_FLOOR = 0.25

/**
 * Draws `n` of the prompts without replacement, in random order: the first k of them are a sample of the same kind, so
 * that collecting may stop at any time. Each prompt comes with the probability with which it was drawn, for estimates that
 * stay unbiased (Horvitz and Thompson 1952).
 *
 * - uniform: n / N each.
 * - stratified: of each group a number in proportion to the root of its size (power allocation, Bankier 1988), so
 *   that small groups are seen and large ones still weigh more.
 * - active: in proportion to 4 q (1 - q) of the router's win rate q, at least a quarter of the most, by systematic
 *   sampling in random order (Madow 1949), which keeps these probabilities exactly.
 *
 * @param n at most the number of prompts
 */
export function drawSample(total: number, n: number, rule: SamplingRule, seed: number): Drawn[] {
  if (!(n >= 1 && n <= total)) {
    const expected = `a number of prompts from 1 to ${total}`
    throw new WeirError('option_invalid', { option: '--sample-size', expected, got: n })
  }
  const random = createRandom(seed)
  const order = random.shuffle(Array.from({ length: total }, (_, i) => i))
  if (rule.kind === 'uniform') {
    return order.slice(0, n).map((index) => ({ index, propensity: n / total }))
  }
  if (rule.kind === 'active') {
    const chances = inclusionChances(
      order.map((i) => {
        const q = rule.winRates[i]!
        return Math.max(ACTIVE_FLOOR, 4 * q * (1 - q))
      }),
      n,
    )
    let reached = random.next()
    let passed = 0
    const drawn: Drawn[] = []
    chances.forEach((propensity, at) => {
      passed += propensity
      // with the rounding of the sum, the last point may lie just past the end
      if (passed > reached || (at === total - 1 && drawn.length < n)) {
        drawn.push({ index: order[at]!, propensity })
        reached++
      }
    })
    return random.shuffle(drawn)
  }
  const members = new Map<string, number[]>()
  for (const i of order) {
    const group = rule.groups[i] ?? ''
    const known = members.get(group)
    if (known) known.push(i)
    else members.set(group, [i])
  }
  const groups = [...members.values()]
  const counts = allocate(
    groups.map(({ length }) => length),
    n,
  )
  const drawn = groups.flatMap((group, g) =>
    group.slice(0, counts[g]).map((index) => ({ index, propensity: counts[g]! / group.length })),
  )
  return random.shuffle(drawn)
}

/** Probabilities of at most 1 that add up to n, in proportion to the sizes as far as that allows. */
export function inclusionChances(sizes: readonly number[], n: number): number[] {
  const chances = sizes.map(() => 0)
  const certain = new Set<number>()
  for (;;) {
    const left = n - certain.size
    const sum = sizes.reduce((all, size, i) => (certain.has(i) ? all : all + size), 0)
    let more = false
    for (const [i, size] of sizes.entries()) {
      if (certain.has(i)) chances[i] = 1
      else {
        chances[i] = (left * size) / sum
        if (chances[i] > 1) {
          certain.add(i)
          more = true
        }
      }
    }
    if (!more) return chances
  }
}

/** How many to take of each group: in proportion to the root of its size, at least one of as many as fit, never more than it has. */
export function allocate(sizes: readonly number[], n: number): number[] {
  const wanted = inclusionLike(sizes, n)
  const counts = wanted.map((share, g) => Math.min(sizes[g]!, Math.floor(share)))
  let left = n - counts.reduce((sum, count) => sum + count, 0)
  // groups without any come first, then the largest remainders
  const byNeed = [...sizes.keys()].sort(
    (a, b) =>
      Number(counts[a]! > 0) - Number(counts[b]! > 0) ||
      wanted[b]! - counts[b]! - (wanted[a]! - counts[a]!),
  )
  while (left > 0) {
    for (const g of byNeed) {
      if (left === 0 || counts[g]! >= sizes[g]!) continue
      counts[g]!++
      left--
    }
  }
  return counts
}

/** Shares of n in proportion to the roots of the sizes, none above its size. */
function inclusionLike(sizes: readonly number[], n: number): number[] {
  const full = new Set<number>()
  for (;;) {
    const left = n - [...full].reduce((sum, g) => sum + sizes[g]!, 0)
    const roots = sizes.reduce((sum, size, g) => (full.has(g) ? sum : sum + Math.sqrt(size)), 0)
    const shares = sizes.map((size, g) =>
      full.has(g) ? size : (left * Math.sqrt(size)) / Math.max(roots, 1e-300),
    )
    const over = shares.findIndex((share, g) => !full.has(g) && share > sizes[g]!)
    if (over < 0) return shares
    full.add(over)
  }
}

/** The name of a prompt in a collection: the first 16 hex digits of its text's SHA-256. */
export const promptId = (prompt: string): string =>
  createHash('sha256').update(prompt).digest('hex').slice(0, 16)
