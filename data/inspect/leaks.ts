import { throwIfAborted } from '../../core/abort.ts'
import { hashText } from '../../core/hash.ts'
import type { OnProgress } from '../../core/progress.ts'
import { askedText } from '../../models/reading/transcript.ts'
import { type Dataset, SPLITS, type Split } from '../dataset/dataset.ts'
import { plainHead, promptStem } from '../splits/stem.ts'

/** Prompts that share at least this fraction of shingles are near-duplicates. */
export const NEAR = 0.8

/**
 * Rows per band, and number of bands: pairs with similarity 0.8 are found with probability .985, with 0.5
 * with .4.
 */
const BAND = 4
/** Training prompts compared with one prompt per band; bounds the cost if many prompts share a template. */
const COMPARED = 16
const EXAMPLES = 5
/** Characters of an example, and how many of them stand before the first difference. */
const SHOWN = 200
const SHOWN_BEFORE = 40

export interface SplitLeaks {
  /** number of prompts in the split */
  readonly prompts: number
  /** how many of them have a training prompt with the same text, stem, or shingles (at least NEAR) */
  readonly exact: number
  readonly normalised: number
  readonly near: number
}

export interface LeakReport {
  readonly splits: Readonly<Record<Exclude<Split, 'train'>, SplitLeaks>>
  readonly examples: readonly {
    readonly split: Split
    readonly prompt: string
    readonly train: string
    readonly similarity: number
  }[]
}

/**
 * Finds held-out prompts that are also, or nearly, in the training split. Banded MinHash, then exact
 * similarity.
 */
export function findLeaks(
  dataset: Dataset,
  options: { readonly signal?: AbortSignal; readonly onProgress?: OnProgress } = {},
): LeakReport {
  const { split } = dataset
  // copies of a question count, whatever conversation they stand in
  const prompts = dataset.prompts.map(askedText)
  const near = nearDuplicates({ prompts, split }, options)
  const stems = trainStems(dataset)
  const hashes = new Set(dataset.hashes.filter((_, i) => split[i] === 0))
  const splits = Object.fromEntries(
    SPLITS.slice(1).map((name, k) => {
      const counts = { prompts: 0, exact: 0, normalised: 0, near: 0 }
      for (let i = 0; i < prompts.length; i++) {
        if (split[i] !== k + 1) continue
        counts.prompts++
        if (hashes.has(dataset.hashes[i]!)) counts.exact++
        if (stems.has(promptStem(dataset.prompts[i]!, dataset.manifest.split))) counts.normalised++
        if (near.has(i)) counts.near++
      }
      return [name, counts]
    }),
  ) as unknown as LeakReport['splits']
  const examples = [...near].slice(0, EXAMPLES).map(([i, { train, similarity }]) => {
    const [prompt, other] = whereTheyDiffer(prompts[i]!, prompts[train]!)
    return { split: SPLITS[split[i]!]!, prompt, train: other, similarity }
  })
  return { splits, examples }
}

/** Two texts from shortly before their first difference, 200 characters each. */
function whereTheyDiffer(a: string, b: string): [string, string] {
  let at = 0
  while (at < a.length && at < b.length && a[at] === b[at]) at++
  const from = Math.max(0, at - SHOWN_BEFORE)
  const shown = (text: string): string => `${from > 0 ? '…' : ''}${text.slice(from, from + SHOWN)}`
  return [shown(a), shown(b)]
}

function trainStems({ prompts, split, manifest }: Dataset): Set<string> {
  const stems = new Set<string>()
  prompts.forEach((prompt, i) => {
    if (split[i] === 0) stems.add(promptStem(prompt, manifest.split))
  })
  return stems
}

/** Held-out prompts that have a near-duplicate in the training split. */
function nearDuplicates(
  { prompts, split }: Pick<Dataset, 'prompts' | 'split'>,
  { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress?: OnProgress },
): Map<number, { readonly train: number; readonly similarity: number }> {
  const n = prompts.length
  const signatures = new Uint32Array(n * SIGNATURE)
  for (let i = 0; i < n; i++) {
    minHash(prompts[i]!, signatures, i * SIGNATURE)
    if (i % 4096 === 0) {
      throwIfAborted(signal)
      onProgress?.({ stage: 'looking for near-duplicates', done: i, total: n })
    }
  }
  const found = new Map<number, { train: number; similarity: number }>()
  const keys = new Float64Array(n)
  for (let band = 0; band < SIGNATURE / BAND; band++) {
    throwIfAborted(signal)
    for (let i = 0; i < n; i++) keys[i] = bandKey(signatures, i * SIGNATURE + band * BAND)
    for (const bucket of buckets(keys)) compare(bucket, prompts, split, found)
  }
  return found
}

function bandKey(signatures: Uint32Array, at: number): number {
  let low = 0
  let high = 0
  for (let i = at; i < at + BAND; i++) {
    low = Math.imul(low ^ signatures[i]!, 0x9e3779b1)
    high = Math.imul(high ^ (signatures[i]! >>> 7), 0x85ebca6b) + (low >>> 16)
  }
  return (high & 0x1fffff) * 0x1_0000_0000 + (low >>> 0)
}

/** Runs of prompts with equal keys, in order. */
function* buckets(keys: Float64Array): Generator<Int32Array> {
  const order = Int32Array.from(keys, (_, i) => i).sort((a, b) => keys[a]! - keys[b]! || a - b)
  for (let start = 0; start < order.length; ) {
    let end = start + 1
    while (end < order.length && keys[order[end]!] === keys[order[start]!]) end++
    if (end - start > 1) yield order.subarray(start, end)
    start = end
  }
}

function compare(
  bucket: Int32Array,
  prompts: readonly string[],
  split: Uint8Array,
  found: Map<number, { train: number; similarity: number }>,
): void {
  const train = bucket.filter((i) => split[i] === 0).subarray(0, COMPARED)
  if (train.length === 0) return
  for (const i of bucket) {
    if (split[i] === 0 || found.has(i)) continue
    for (const other of train) {
      const shared = similarity(prompts[i]!, prompts[other]!)
      if (shared < NEAR) continue
      found.set(i, { train: other, similarity: shared })
      break
    }
  }
}

/** Hashes per signature; two texts agree in each with probability equal to their Jaccard similarity. */
const SIGNATURE = 32
/** Characters per shingle, in the plain text. */
const SHINGLE = 8
const HEAD = 2_000

/** Odd multipliers and offsets of the permutations, from a fixed generator. */
const MULTIPLIERS = new Uint32Array(SIGNATURE)
const OFFSETS = new Uint32Array(SIGNATURE)
for (let i = 0, words = new Uint32Array(2); i < SIGNATURE; i++) {
  hashText(`minhash ${i}`, 0, words)
  MULTIPLIERS[i] = words[0]! | 1
  OFFSETS[i] = words[1]!
}

/** MinHash (Broder 1997) of a prompt's character shingles, written to `out` starting at `at`. */
function minHash(text: string, out: Uint32Array, at: number): void {
  out.fill(0xffffffff, at, at + SIGNATURE)
  for (const shingle of shingles(text)) {
    for (let i = 0; i < SIGNATURE; i++) {
      const mixed = (Math.imul(shingle, MULTIPLIERS[i]!) + OFFSETS[i]!) >>> 0
      if (mixed < out[at + i]!) out[at + i] = mixed
    }
  }
}

/** Jaccard similarity of the two texts' shingles. */
function similarity(a: string, b: string): number {
  const left = new Set(shingles(a))
  const right = new Set(shingles(b))
  let both = 0
  for (const shingle of left) if (right.has(shingle)) both++
  return both / (left.size + right.size - both)
}

/** Rolling hashes of every run of SHINGLE characters, or of the whole text if it is shorter. */
function* shingles(text: string): Generator<number> {
  const plain = plainHead(text, HEAD)
  const last = Math.max(0, plain.length - SHINGLE)
  for (let start = 0; start <= last; start++) {
    let hash = 0x811c9dc5
    const end = Math.min(plain.length, start + SHINGLE)
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ plain.charCodeAt(i), 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
    yield (hash ^ (hash >>> 12)) >>> 0
  }
}
