import type { Dataset } from '../../data/dataset/dataset.ts'
import type { PairLabels } from '../../data/pair.ts'
import { SPLITS, type SplitFractions, splitOf } from '../../data/splits/assign-splits.ts'
import { stem } from '../../data/splits/stem.ts'
import type { DataHashes } from '../../models/bundle/data-hashes.ts'
import type { SplitRule } from '../../models/bundle/manifest.ts'

/** Which labelled rows a router may be calibrated on, and why the others may not be used. */
export interface FreshRows {
  /** indices into the labels, ascending */
  readonly rows: Int32Array
  /** rows the router was validated on: known to it, but good for a grid fixed in advance */
  readonly validation: Int32Array
  /** `copies`: of train or validation rows, by stem; `test`: kept for `evaluate` */
  readonly leftOut: Readonly<Record<'train' | 'validation' | 'copies' | 'test', number>>
}

/**
 * Leaves out what the router was trained or validated on (by hash), copies of it that differ in case, spacing or
 * options, and, where the log holds its training rows, what its split rule keeps for the test, so that
 * `evaluate` still has rows nobody has chosen on.
 */
export function freshRows(
  dataset: Dataset,
  labels: Pick<PairLabels, 'prompt'>,
  seen: DataHashes,
  rule: SplitRule,
): FreshRows {
  const parts = Array.from(labels.prompt, (prompt) => seen.seenIn(dataset.hashes[prompt]!))
  const stems = Array.from(labels.prompt, (prompt) => stem(dataset.prompts[prompt]!, rule.prefixes))
  const ownLog = parts.includes('train')
  const learned = new Set(
    stems.filter((_, row) => parts[row] === 'train' || parts[row] === 'validation'),
  )
  const fractions = rule.fractions as SplitFractions
  const rows: number[] = []
  const validation: number[] = []
  const leftOut = { train: 0, validation: 0, copies: 0, test: 0 }
  parts.forEach((part, row) => {
    if (part === 'train') leftOut.train++
    else if (part === 'validation') {
      leftOut.validation++
      validation.push(row)
    } else if (part === undefined && learned.has(stems[row]!)) leftOut.copies++
    else if (
      ownLog &&
      part === undefined &&
      SPLITS[splitOf(stems[row]!, rule.seed, fractions)] === 'test'
    ) {
      leftOut.test++
    } else rows.push(row)
  })
  return { rows: Int32Array.from(rows), validation: Int32Array.from(validation), leftOut }
}
