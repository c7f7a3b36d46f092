import type { Embeddings } from '../../../models/encoders/embeddings.ts'
import { fitLogistic, type LogisticFit } from '../../solver/logistic.ts'
import type { Target } from './targets.ts'

/** The two heads of a pair, and everything that speaks about them. */
export interface JointProblem {
  readonly embeddings: Embeddings
  /** scores of each model, as soft labels */
  readonly strong: Target
  readonly weak: Target
  /** votes between the two, with label 1 for the strong model */
  readonly votes: Target
  /** the heads as fitted to the scores alone, and the strength of their penalties */
  readonly from: { readonly strong: LogisticFit; readonly weak: LogisticFit }
  readonly l2: { readonly strong: number; readonly weak: number }
  readonly maxIterations: number
  readonly signal?: AbortSignal | undefined
}

/** The biases are columns here, because a vote reads their difference; they are hardly penalised. */
const BIAS_L2 = 1e-4

/**
 * Fits both success heads to scores and votes together: a score of model a is a Bernoulli draw with logit z_a, a
 * vote for the strong model one with logit z_strong - z_weak (Bradley and Terry 1952 on the heads' logits; a tie
 * is half a vote for each). The sum of the log-losses is convex in both heads, and solved as one logistic
 * regression whose rows hold the embedding in the block of either head, or in both with opposite signs.
 */
export async function fitJointly(problem: JointProblem): Promise<{
  readonly strong: LogisticFit
  readonly weak: LogisticFit
}> {
  const { embeddings, strong, weak, votes, from, l2 } = problem
  const d = embeddings.dimension
  const rows: { row: number; strong: number; weak: number; label: number; weight: number }[] = []
  const add = (target: Target, s: number, w: number, share = 1, turned = false): void => {
    for (let i = 0; i < target.rows.length; i++) {
      const label = target.labels[i]!
      rows.push({
        row: target.rows[i]!,
        strong: s,
        weak: w,
        label: turned ? 1 - label : label,
        weight: share * target.weights[i]!,
      })
    }
  }
  add(strong, 1, 0)
  add(weak, 0, 1)
  // each vote from both sides, so that the solver's own bias, which has no meaning here, stays at 0
  add(votes, 1, -1, 0.5)
  add(votes, -1, 1, 0.5, true)
  const fit = await fitLogistic({
    embeddings: stacked(embeddings, rows),
    rows: Int32Array.from(rows.keys()),
    labels: Float32Array.from(rows, ({ label }) => label),
    weights: Float32Array.from(rows, ({ weight }) => weight),
    l2: l2.strong,
    l2Ranges: [
      { from: d, to: 2 * d, l2: l2.weak },
      { from: 2 * d, to: 2 * d + 2, l2: BIAS_L2 },
    ],
    init: {
      weights: Float32Array.from([
        ...from.strong.weights,
        ...from.weak.weights,
        from.strong.bias,
        from.weak.bias,
      ]),
      bias: 0,
    },
    maxIterations: problem.maxIterations,
    tolerance: 1e-6,
    signal: problem.signal,
  })
  const head = (block: number): LogisticFit => ({
    ...fit,
    weights: fit.weights.slice(block * d, (block + 1) * d),
    bias: fit.weights[2 * d + block]! + fit.bias,
  })
  return { strong: head(0), weak: head(1) }
}

/** Rows of both blocks: the embedding times a sign in each, then the two biases. */
function stacked(
  from: Embeddings,
  rows: readonly { readonly row: number; readonly strong: number; readonly weak: number }[],
): Embeddings {
  const d = from.dimension
  const ids: number[] = []
  const weights: number[] = []
  const offsets = new Uint32Array(rows.length + 1)
  const each = (row: number, visit: (id: number, value: number) => void): void => {
    if (from.kind === 'dense') {
      for (let j = 0; j < d; j++) visit(j, from.values[row * d + j]!)
      return
    }
    for (let k = from.offsets[row]!; k < from.offsets[row + 1]!; k++) {
      visit(from.ids[k]!, from.weights[k]!)
    }
  }
  for (const [at, { row, strong, weak }] of rows.entries()) {
    for (const [block, sign] of [strong, weak].entries()) {
      if (sign === 0) continue
      each(row, (id, value) => {
        ids.push(block * d + id)
        weights.push(sign * value)
      })
      ids.push(2 * d + block)
      weights.push(sign)
    }
    offsets[at + 1] = ids.length
  }
  return {
    kind: 'sparse',
    rows: rows.length,
    dimension: 2 * d + 2,
    offsets,
    ids: Uint32Array.from(ids),
    weights: Float32Array.from(weights),
  }
}
