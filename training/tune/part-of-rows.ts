import { takeRows } from '../../models/embeddings.ts'
import { createRandom } from '../../models/random.ts'
import type { EncodedSplit } from '../splits.ts'
import type { PreferenceColumns } from '../trainer.ts'

/** A seeded part of a split's prompts with all that was observed of them; a larger part holds a smaller one. */
export function partOfRows(split: EncodedSplit, fraction: number, seed: number): EncodedSplit {
  const n = split.embeddings.rows
  const size = Math.ceil(n * fraction)
  if (size >= n) return split
  const order = createRandom(seed).shuffle(Int32Array.from({ length: n }, (_, i) => i))
  const rows = order.slice(0, size).sort()
  const { preferences, outcomes } = split
  return {
    prompts: rows.map((row) => split.prompts[row]!),
    embeddings: takeRows(split.embeddings, rows),
    ...(preferences ? { preferences: votesOn(preferences, rows, n) } : {}),
    ...(outcomes ? { outcomes: { scores: scoresOf(outcomes.scores, rows, n) } } : {}),
  }
}

function votesOn(votes: PreferenceColumns, rows: Int32Array, n: number): PreferenceColumns {
  const place = new Int32Array(n).fill(-1)
  rows.forEach((row, i) => {
    place[row] = i
  })
  const kept = [...votes.prompt.keys()].filter((i) => place[votes.prompt[i]!]! >= 0)
  const take = (column: Int32Array): Int32Array => Int32Array.from(kept, (i) => column[i]!)
  return {
    prompt: Int32Array.from(kept, (i) => place[votes.prompt[i]!]!),
    modelA: take(votes.modelA),
    modelB: take(votes.modelB),
    label: Float32Array.from(kept, (i) => votes.label[i]!),
    weight: Float32Array.from(kept, (i) => votes.weight[i]!),
  }
}

function scoresOf(scores: Float32Array, rows: Int32Array, n: number): Float32Array {
  const m = scores.length / n
  const taken = new Float32Array(rows.length * m)
  rows.forEach((row, i) => {
    taken.set(scores.subarray(row * m, (row + 1) * m), i * m)
  })
  return taken
}
