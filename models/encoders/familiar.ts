import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../../core/abort.ts'
import { WeirError } from '../../core/errors.ts'
import { decodeArrays, encodeArrays } from './arrays-file.ts'
import { textOf, withText } from './context.ts'
import { cutText } from './cut.ts'
import {
  type Encoded,
  type Encoder,
  type EncoderArtifact,
  type EncoderSpec,
  innerSpec,
} from './encoder.ts'
import { eachGram } from './lexical/words.ts'

/** Neighbouring words that are judged together: fewer say too little, more hide a short passage. */
export const WINDOW = 20
/** A longer text is judged, and read, by its start and end. */
export const MOST_CHARACTERS = 65_536
/** Passages are left out only if at least this many words remain. */
const LEAST_LEFT = 8
/** Weight, in pairs, of the average share of known pairs in a text’s: a short text says little about itself. */
const PRIOR_PAIRS = 4
/** Texts between two checks of the abort signal. */
const CHUNK = 512

/** How the training prompts are worded; a bundle's `familiar.bin`. */
export interface FamiliarState {
  /** a Bloom filter of the pairs of neighbouring words, two bits each; a power of two of 32-bit words */
  readonly pairs: Uint32Array
  /** a window with fewer known pairs is left out; 0 leaves nothing out */
  readonly least: number
  /** a text of more words is read in part; Infinity reads all */
  readonly longest: number
  /** share of known pairs that the part of a long text should have */
  readonly typical: number
  /** mean share of known pairs */
  readonly mean: number
  /** quantiles, ascending, of the training prompts' shares of known pairs and of their numbers of words */
  readonly shares: Float32Array
  readonly lengths: Float32Array
}

export const FAMILIAR_FILE = 'encoder/familiar.bin'

/** Marks a pair as known. */
export function addPair(pairs: Uint32Array, hash: number): void {
  const mask = 32 * pairs.length - 1
  for (const bit of [hash & mask, second(hash) & mask]) pairs[bit >>> 5]! |= 1 << (bit & 31)
}

const second = (hash: number): number => Math.imul(hash, 0x9e3779b1) >>> 7

/** The words of one text at a time, and whether each stands behind the one before it in some training prompt. */
export class Wording {
  known = new Uint8Array(1024)
  starts = new Int32Array(1024)
  ends = new Int32Array(1024)
  words = 0
  knownPairs = 0

  scan(text: string, isKnown: (pair: number) => boolean): void {
    let words = 0
    let pairs = 0
    let known = 0
    eachGram(text.toLowerCase(), (hash, start, end) => {
      // every word but the first is followed by its pair
      if (words === pairs || words === 0) {
        if (words === this.known.length) this.grow()
        this.starts[words] = start
        this.ends[words] = end
        this.known[words++] = 0
        if (words === 1) pairs = 1
      } else {
        pairs++
        if (isKnown(hash)) {
          this.known[words - 1] = 1
          known++
        }
      }
    })
    this.words = words
    this.knownPairs = known
  }

  private grow(): void {
    const larger = <T extends Uint8Array | Int32Array>(made: T, from: T): T => {
      made.set(from)
      return made
    }
    const size = 2 * this.known.length
    this.known = larger(new Uint8Array(size), this.known)
    this.starts = larger(new Int32Array(size), this.starts)
    this.ends = larger(new Int32Array(size), this.ends)
  }

  /** Known pairs of the window that has fewest; WINDOW for a text without a whole window. */
  least(): number {
    const { known, words } = this
    if (words <= WINDOW) return WINDOW
    let sum = 0
    for (let i = 1; i <= WINDOW; i++) sum += known[i]!
    let least = sum
    for (let i = WINDOW + 1; i < words; i++) {
      sum += known[i]! - known[i - WINDOW]!
      if (sum < least) least = sum
    }
    return least
  }
}

/** Share of known pairs in a text, drawn towards `mean` where there are few. */
export const knownShare = (words: number, knownPairs: number, mean: number): number =>
  (knownPairs + PRIOR_PAIRS * mean) / (Math.max(0, words - 1) + PRIOR_PAIRS)

/** What is read of a text, and how unlike the training prompts it is: 0 to 1. */
export interface Familiarity {
  readonly text: string
  readonly ood: number
}

/**
 * Judges texts by their pairs of neighbouring words. Passages whose pairs no training prompt holds, such as words
 * that were searched one by one to turn a decision, are left out. Of a text that is longer than training prompts
 * are, only the passage is read that is worded most like them.
 */
export function createFamiliar(state: FamiliarState): (text: string) => Familiarity {
  const { pairs, least, longest, typical, mean } = state
  const mask = 32 * pairs.length - 1
  const wording = new Wording()
  const isKnown = (hash: number): boolean => {
    const a = hash & mask
    if ((pairs[a >>> 5]! & (1 << (a & 31))) === 0) return false
    const b = second(hash) & mask
    return (pairs[b >>> 5]! & (1 << (b & 31))) !== 0
  }

  /** The text without its unfamiliar passages; the same text if too little would be left. */
  const withoutUnfamiliar = (text: string): string => {
    const { known, starts, ends, words } = wording
    let kept = ''
    let keptTo = 0
    let left = words
    let from = -1
    let to = -1
    const leaveOut = (): void => {
      // whole windows: were known words at their ends kept, a search could go on from there word by word
      kept += text.slice(keptTo, starts[from])
      keptTo = ends[to]!
      left -= to + 1 - from
    }
    let sum = 0
    for (let i = 1; i < WINDOW; i++) sum += known[i]!
    for (let i = WINDOW; i < words; i++) {
      sum += known[i]!
      const first = i + 1 - WINDOW
      if (sum < least) {
        if (from >= 0 && first > to + 1) {
          leaveOut()
          from = -1
        }
        if (from < 0) from = first
        to = i
      }
      sum -= known[first]!
    }
    if (from >= 0) leaveOut()
    return left < LEAST_LEFT ? text : kept + text.slice(keptTo)
  }

  /** The passage with the most known pairs above the typical share (Bentley 1984, maximum sum of a segment). */
  const mostTypical = (text: string): string => {
    const { known, starts, ends, words } = wording
    let sum = 0
    let from = 0
    let best = 0
    let first = 0
    let last = words - 1
    for (let i = 0; i < words; i++) {
      sum += known[i]! - typical
      if (sum > best) {
        best = sum
        first = from
        last = i
      }
      if (sum < 0) {
        sum = 0
        from = i + 1
      }
    }
    return text.slice(starts[first], ends[last])
  }

  const oodOf = (): number => {
    const { words, knownPairs } = wording
    const share = rankIn(state.shares, knownShare(words, knownPairs, mean), true)
    const shorter = rankIn(state.lengths, words, true)
    const longer = 1 - rankIn(state.lengths, words, false)
    // the less likely of two findings, one of them in either direction (Bonferroni)
    return 1 - Math.min(1, 2 * Math.min(share, 2 * Math.min(shorter, longer)))
  }

  return (given) => {
    const text = given.length > MOST_CHARACTERS ? cutText(given, MOST_CHARACTERS).kept : given
    wording.scan(text, isKnown)
    const ood = oodOf()
    if (wording.least() >= least && wording.words <= longest) return { text: given, ood }
    let read = text
    if (wording.least() < least) {
      read = withoutUnfamiliar(text)
      if (read !== text) wording.scan(read, isKnown)
    }
    return { text: wording.words > longest ? mostTypical(read) : read, ood }
  }
}

/** Share of the sorted values that are below `x`, or at most `x`. */
function rankIn(sorted: Float32Array, x: number, own: boolean): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (own ? sorted[middle]! <= x : sorted[middle]! < x) low = middle + 1
    else high = middle
  }
  return low / sorted.length
}

/** `familiar`: another encoder, which reads of each text what is worded like the training prompts. */
export function createFamiliarEncoder(
  inner: EncoderArtifact,
  state: FamiliarState,
): EncoderArtifact {
  const { pairs, least, longest, typical, mean, shares, lengths } = state
  const numbers = Float64Array.of(least, longest, typical, mean)
  const bytes = encodeArrays({ pairs, numbers, shares, lengths })
  const { spec: own } = inner.encoder
  const hash = createHash('sha256').update(own.id).update(bytes).digest('hex').slice(0, 12)
  const spec: EncoderSpec = {
    ...own,
    kind: 'familiar',
    id: `familiar-${hash}`,
    files: [FAMILIAR_FILE, ...own.files],
    options: { inner: own },
  }
  return {
    encoder: reading(spec, inner.encoder, state),
    files: new Map([[FAMILIAR_FILE, bytes], ...inner.files]),
  }
}

/** @param load opens the inner encoder from the same bundle */
export async function loadFamiliarEncoder(
  spec: EncoderSpec,
  folder: string,
  load: (inner: EncoderSpec) => Promise<Encoder>,
): Promise<Encoder> {
  const inner = innerSpec(spec, folder)
  const path = join(folder, FAMILIAR_FILE)
  const state = parseState(decodeArrays(await readFile(path), path), path)
  return reading(spec, await load(inner), state)
}

function parseState(arrays: ReturnType<typeof decodeArrays>, path: string): FamiliarState {
  const { pairs, numbers, shares, lengths } = arrays
  const whole =
    pairs instanceof Uint32Array &&
    pairs.length > 0 &&
    (pairs.length & (pairs.length - 1)) === 0 &&
    numbers instanceof Float64Array &&
    numbers.length === 4 &&
    shares instanceof Float32Array &&
    lengths instanceof Float32Array &&
    shares.length > 0 &&
    lengths.length > 0
  if (!whole) {
    const reason = 'its arrays pairs, numbers, shares and lengths are missing or misshapen'
    throw new WeirError('bundle_invalid', { path, reason })
  }
  const [least = 0, longest = 0, typical = 0, mean = 0] = numbers
  return { pairs, least, longest, typical, mean, shares, lengths }
}

function reading(spec: EncoderSpec, inner: Encoder, state: FamiliarState): Encoder {
  const judge = createFamiliar(state)
  const ownOod = new Float32Array(1)
  const read = (given: string): string => {
    const text = textOf(given)
    const judged = judge(text)
    ownOod[0] = judged.ood
    return judged.text === text ? given : withText(given, judged.text)
  }
  const { encodeNow } = inner
  return {
    spec,
    async encode(readings, signal): Promise<Encoded> {
      const ood = new Float32Array(readings.length)
      const texts: string[] = []
      for (const [row, given] of readings.entries()) {
        texts.push(read(given))
        ood[row] = ownOod[0]!
        if (row % CHUNK === CHUNK - 1) {
          // lets an abort, a timer or another request run
          await new Promise((resolve) => setImmediate(resolve))
          throwIfAborted(signal)
        }
      }
      return { ...(await inner.encode(texts, signal)), ood }
    },
    ...(encodeNow && {
      encodeNow(given) {
        const { embeddings, truncated } = encodeNow(read(given))
        return { embeddings, truncated, ood: ownOod }
      },
    }),
    read,
    fieldNames: inner.fieldNames,
    featureNames: (given) => inner.featureNames?.(read(given)) ?? new Map(),
    close: async () => inner.close?.(),
  }
}
