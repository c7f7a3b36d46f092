import type { Dataset } from '../../../data/dataset/dataset.ts'
import type { PairLabels } from '../../../data/pair.ts'
import { SPLITS, type SplitFractions, splitOf } from '../../../data/splits/assign-splits.ts'
import { stem } from '../../../data/splits/stem.ts'
import { type DataHashes, SEEN_PARTS, type SeenPart } from '../../../models/bundle/data-hashes.ts'
import type { SplitRule } from '../../../models/bundle/manifest.ts'

/** What a router was made from, and how its log was split. */
export interface RouterPast {
  readonly seen: DataHashes
  readonly rule: SplitRule
  /** SHA-256 of the files it was trained on */
  readonly sources: ReadonlySet<string>
}

export type LeftOut = Readonly<Record<SeenPart | 'reserved', number>>

/** Which labelled rows routers may be judged on. Arrays hold indices into the labels, ascending. */
export interface UnseenRows {
  readonly rows: Int32Array
  /** rows that some router was trained on: what a learned baseline may learn from */
  readonly trained: Int32Array
  /** by the first part that any router saw the row in; `reserved`: a copy of such a row, or kept for calibration */
  readonly leftOut: LeftOut
}

/**
 * Leaves out every row that any of the routers saw. Of a file that holds a router's own training rows, only what
 * its split rule keeps for the test stays: by stem, so that a copy of a training row which differs in case or
 * spacing goes with it, and so that figures are the same before and after a calibration. `source` is the SHA-256 of
 * each prompt's file; a prompt without one may be of any.
 */
export function unseenRows(
  dataset: Dataset,
  labels: Pick<PairLabels, 'prompt'>,
  past: readonly RouterPast[],
  source: readonly (string | undefined)[] = [],
): UnseenRows {
  const left = new Map<number, SeenPart | 'reserved'>()
  for (const { seen, rule, sources } of past) {
    const elsewhere = (prompt: number): boolean =>
      source[prompt] !== undefined && !sources.has(source[prompt])
    const parts = Array.from(labels.prompt, (prompt) => seen.seenIn(dataset.hashes[prompt]!))
    const own = parts.includes('train')
    parts.forEach((part, row) => {
      if (part) left.set(row, firstPart(left.get(row), part))
      else if (own && !left.has(row) && !elsewhere(labels.prompt[row]!)) {
        if (!keptForTest(dataset.prompts[labels.prompt[row]!]!, rule)) left.set(row, 'reserved')
      }
    })
  }
  const leftOut = { train: 0, validation: 0, calibration: 0, reserved: 0 }
  for (const part of left.values()) leftOut[part] += 1
  const all = Array.from(labels.prompt.keys())
  return {
    rows: Int32Array.from(all.filter((row) => !left.has(row))),
    trained: Int32Array.from(all.filter((row) => left.get(row) === 'train')),
    leftOut,
  }
}

function keptForTest(prompt: string, rule: SplitRule): boolean {
  const fractions = rule.fractions as SplitFractions
  return SPLITS[splitOf(stem(prompt, rule.prefixes), rule.seed, fractions)] === 'test'
}

function firstPart(known: SeenPart | 'reserved' | undefined, part: SeenPart): SeenPart {
  if (known === undefined || known === 'reserved') return part
  return SEEN_PARTS.indexOf(known) <= SEEN_PARTS.indexOf(part) ? known : part
}

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
