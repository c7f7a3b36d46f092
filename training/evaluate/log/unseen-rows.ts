import type { Dataset } from '../../../data/dataset/dataset.ts'
import type { PairLabels } from '../../../data/pair.ts'
import { SPLITS, type SplitFractions, splitOf } from '../../../data/splits/assign-splits.ts'
import { promptStem } from '../../../data/splits/stem.ts'
import {
  type DataHashes,
  SEEN_PARTS,
  type SeenPart,
  seenPartOf,
} from '../../../models/bundle/data-hashes.ts'
import type { SplitRule } from '../../../models/bundle/manifest.ts'

/** What a router was trained on, and how its log was split. */
export interface RouterPast {
  readonly seen: DataHashes
  readonly rule: SplitRule
  /** SHA-256 of the files it was trained on */
  readonly sources: ReadonlySet<string>
}

export type LeftOut = Readonly<Record<SeenPart | 'reserved', number>>

/** Which labelled rows may be used to evaluate routers. Arrays hold indices into the labels, ascending. */
export interface UnseenRows {
  readonly rows: Int32Array
  /** rows that some router was trained on: learned baselines are fitted on them */
  readonly trained: Int32Array
  /**
   * counted by the first part in which any router saw the row; `reserved`: copies of such rows, and rows kept
   * for calibration
   */
  readonly leftOut: LeftOut
}

/**
 * Leaves out every row that any of the routers saw. In a file that contains a router's training rows, only
 * the test rows of its split rule remain. Splits are computed on stems, so that a copy of a training row
 * which differs in case or spacing is left out as well, and so that figures are the same before and after a
 * calibration. `source` is the SHA-256 of each prompt's file; a prompt without one may come from any file.
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
    const parts = Array.from(labels.prompt, (prompt) => seenPart(dataset, prompt, seen))
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

/**
 * Where a router's making used a prompt of a dataset; undefined if nowhere.
 *
 * @param prompt index into the dataset's prompts
 */
export const seenPart = (
  dataset: Pick<Dataset, 'prompts' | 'hashes'>,
  prompt: number,
  seen: DataHashes,
): SeenPart | undefined => seenPartOf(dataset.prompts[prompt]!, dataset.hashes[prompt]!, seen)

function keptForTest(prompt: string, rule: SplitRule): boolean {
  const fractions = rule.fractions as SplitFractions
  return SPLITS[splitOf(promptStem(prompt, rule), rule.seed, fractions)] === 'test'
}

function firstPart(known: SeenPart | 'reserved' | undefined, part: SeenPart): SeenPart {
  if (known === undefined || known === 'reserved') return part
  return SEEN_PARTS.indexOf(known) <= SEEN_PARTS.indexOf(part) ? known : part
}

/** Which labelled rows may be used to calibrate a router, and why the others may not. */
export interface FreshRows {
  /** indices into the labels, ascending */
  readonly rows: Int32Array
  /** rows the router was validated on: not fresh, but usable for a grid that is fixed in advance */
  readonly validation: Int32Array
  /** `copies`: copies of train or validation rows, by stem; `test`: kept for `evaluate` */
  readonly leftOut: Readonly<Record<'train' | 'validation' | 'copies' | 'test', number>>
}

/**
 * Leaves out rows that the router was trained or validated on (by hash), copies of them that differ in case,
 * spacing or options, and, if the log contains its training rows, the test rows of its split rule, so that
 * `evaluate` still has rows that nothing was chosen on.
 */
export function freshRows(
  dataset: Dataset,
  labels: Pick<PairLabels, 'prompt'>,
  seen: DataHashes,
  rule: SplitRule,
): FreshRows {
  const parts = Array.from(labels.prompt, (prompt) => seenPart(dataset, prompt, seen))
  const stems = Array.from(labels.prompt, (prompt) => promptStem(dataset.prompts[prompt]!, rule))
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
