import type { NeighbourRows } from './bundle/neighbours-file.ts'
import type { Explanation } from './decision.ts'
import type { NeighbourWeights } from './onnx/graph-head.ts'

/** How many neighbours an explanation names unless told otherwise. */
const TOP = 10

/**
 * The training rows that counted most for one prompt, with their share of all that counted. The win rate that
 * neighbours give is the sum of weight x win rate over the named ones, `others` and `prior`, whose weights sum
 * to 1: the formula of `scoreByNeighbours`, written for the pair. It is the head's own: a probability
 * calibration, or an ensemble's other member, works on it afterwards.
 *
 * @param texts the start of each row's prompt, where the bundle keeps it
 */
export function explainNeighbours(
  { similarity, weight }: NeighbourWeights,
  rows: NeighbourRows,
  texts: readonly string[] | undefined,
  top: number = TOP,
): Pick<Explanation, 'neighbours' | 'neighbourhood'> {
  const total = weight.reduce((sum, each) => sum + each, rows.prior.weight)
  const rate = (row: number): number => (1 + rows.scores[2 * row]! - rows.scores[2 * row + 1]!) / 2
  const counted = [...weight.keys()].filter((row) => weight[row]! > 0)
  // rows of equal weight in the order they were trained in, so that the same prompt always names the same
  counted.sort((a, b) => weight[b]! - weight[a]! || a - b)
  const named = counted.slice(0, top)
  const neighbours = named.map((row) => ({
    prompt_hash: rows.hashes[row]!,
    similarity: similarity[row]!,
    weight: weight[row]! / total,
    win_rate: rate(row),
    ...(rows.observed === 'outcomes'
      ? { strong: rows.scores[2 * row]!, weak: rows.scores[2 * row + 1]! }
      : {}),
    ...(texts ? { text: texts[row]! } : {}),
  }))
  let mass = 0
  let won = 0
  for (const row of counted.slice(top)) {
    mass += weight[row]!
    won += weight[row]! * rate(row)
  }
  const prior = { weight: rows.prior.weight / total, win_rate: rows.prior.win_rate }
  const others = {
    count: counted.length - named.length,
    weight: mass / total,
    win_rate: mass > 0 ? won / mass : rows.prior.win_rate,
  }
  const winRate =
    neighbours.reduce((sum, each) => sum + each.weight * each.win_rate, 0) +
    others.weight * others.win_rate +
    prior.weight * prior.win_rate
  return { neighbours, neighbourhood: { win_rate: winRate, others, prior } }
}
