import type { Dataset } from '../data/dataset.ts'
import {
  encodeNeighbours,
  encodeNeighbourTexts,
  NEIGHBOURS_FILE,
  NEIGHBOURS_TEXT_FILE,
} from '../models/bundle/neighbours-file.ts'
import type { Family, HeadWeights, Pair } from '../models/family.ts'
import type { EncodedSplit } from './splits.ts'
import { observedRows } from './trainers/neighbour-rows.ts'

export interface NeighbourFilesInput {
  readonly family: Family
  readonly weights: HeadWeights
  readonly pair: Pair
  readonly train: EncodedSplit
  readonly validation: EncodedSplit
  /** keeps the start of each prompt as well: off unless asked for, since a bundle travels */
  readonly keepText: boolean
}

/** Bundle files that let `explain` name the training rows a head asks; none for a head that asks none. */
export function neighbourFiles(
  { hashes, prompts }: Pick<Dataset, 'hashes' | 'prompts'>,
  { family, weights, pair, train, validation, keepText }: NeighbourFilesInput,
): Map<string, Uint8Array> {
  const held = family.neighbours?.(weights)
  if (!held) return new Map()
  const input = { models: weights.models, ...pair }
  const rowsOf = (split: EncodedSplit): number[] =>
    observedRows(split, input).map((row) => split.prompts[row]!)
  // a head that was fitted again holds the validation rows behind the train rows
  const first = rowsOf(train)
  const rows = first.length === held.rows ? first : [...first, ...rowsOf(validation)]
  if (rows.length !== held.rows) {
    throw new Error(`a head of ${held.rows} rows cannot be of these splits (${rows.length} rows)`)
  }
  const m = weights.models.length
  const scores = new Float32Array(2 * rows.length)
  for (let row = 0; row < rows.length; row++) {
    scores[2 * row] = held.scores[row * m + pair.strong]!
    scores[2 * row + 1] = held.scores[row * m + pair.weak]!
  }
  const prior = {
    weight: held.prior,
    win_rate: (1 + held.base[pair.strong]! - held.base[pair.weak]!) / 2,
  }
  const own = rows.map((row) => hashes[row]!)
  const observed = train.outcomes ? 'outcomes' : 'votes'
  return new Map([
    [NEIGHBOURS_FILE, encodeNeighbours({ observed, prior, hashes: own, scores })],
    ...(keepText
      ? [[NEIGHBOURS_TEXT_FILE, encodeNeighbourTexts(rows.map((row) => prompts[row]!))] as const]
      : []),
  ])
}
