import { takeRows } from '../../models/embeddings.ts'
import type { Pair } from '../../models/family.ts'
import { type DenseMatrix, pickRows } from '../solver/dense-matrix.ts'
import type { TrainingRows } from '../trainer.ts'
import type { KernelFeatures } from './kernel-features.ts'
import { knownOfOthers } from './known-of-others.ts'
import { neighbourTensors, observedRows } from './neighbour-rows.ts'
import type { ObservedOutcomes } from './outcome-columns.ts'

/** Rows on which the pair was observed, as the kernel family learns from them. */
export interface KernelRows {
  readonly z: DenseMatrix
  /** a column a model, the pair's own with less luck in them */
  readonly targets: DenseMatrix
  /** the pair's observed gain, as it is */
  readonly gain: Float64Array
  /** every model's outcomes; of votes alone, shares of the pair's */
  readonly observed: ObservedOutcomes
}

/** @param others share of what the other models' outcomes say of the pair in its targets */
export async function kernelRows(
  split: TrainingRows,
  input: Pair & { readonly models: readonly string[] },
  features: KernelFeatures,
  others: number,
): Promise<KernelRows> {
  const m = input.models.length
  const { strong, weak } = input
  const rows = observedRows(split, input)
  // a model's mean where it was not observed, shares of votes where there are no outcomes
  const scores = neighbourTensors(split, input, 0).scores!.values
  const gain = Float64Array.from(rows, (_, i) => scores[i * m + strong]! - scores[i * m + weak]!)
  const lengths = split.outcomes?.tokens
  const tokens = lengths && pickRows({ columns: m, values: lengths }, rows).values
  const observed = { scores, tokens }
  const values = scores.slice()
  const known = split.outcomes ? knownOfOthers(observed, m, input) : undefined
  if (known) {
    for (let i = 0; i < rows.length; i++) {
      values[i * m + strong]! += others * (known[i * 2]! - scores[i * m + strong]!)
      values[i * m + weak]! += others * (known[i * 2 + 1]! - scores[i * m + weak]!)
    }
  }
  return {
    z: await features.of(takeRows(split.embeddings, rows)),
    targets: { rows: rows.length, columns: m, values },
    gain,
    observed,
  }
}
