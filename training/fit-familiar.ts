import { textOf } from '../models/encoders/context.ts'
import type { EncoderArtifact } from '../models/encoders/encoder.ts'
import {
  addPair,
  createFamiliarEncoder,
  type FamiliarState,
  knownShare,
  MOST_CHARACTERS,
  WINDOW,
  Wording,
} from '../models/encoders/familiar.ts'

/** Fewer prompts say too little about how prompts are worded: nothing is left out then. */
const LEAST_PROMPTS = 300
/** More add little. */
const MOST_PROMPTS = 50_000
/** Share of the training prompts that would lose a passage, were they new, and that are longer than is read whole. */
const UNFAMILIAR = 0.02
/** Most known pairs that a window is asked for, as a share: what is left out takes its neighbours along up to here. */
const MOST_LEAST = 0.3
const TOO_LONG = 0.01
/** Quantile of the shares of known pairs that the part of a long text should be above. */
const TYPICAL = 0.25
const QUANTILES = 400
/** Pairs that are kept: 2^22 bits, half a megabyte, tell 99% of unknown pairs from so many. */
const MOST_PAIRS = 1 << 18
const MOST_WORDS = 1 << 17
/** Pairs are counted, up to 255, by as many bits of their hash as the texts' length asks for. */
const COUNTED_BITS = { least: 12, most: 24 } as const

/** The encoder, reading of each text what is worded like the train readings (see `createFamiliar`). */
export const fitFamiliar = (inner: EncoderArtifact, readings: readonly string[]): EncoderArtifact =>
  createFamiliarEncoder(inner, familiarState(readings.map(textOf)))

/** What is known of the texts; bounds are quantiles of what each text would show if it were not among them. */
export function familiarState(all: readonly string[]): FamiliarState {
  const step = Math.max(1, Math.ceil(all.length / MOST_PROMPTS))
  const texts = all
    .filter((_, row) => row % step === 0)
    .map((text) => text.slice(0, MOST_CHARACTERS))
  const characters = texts.reduce((sum, text) => sum + text.length, 0)
  const asked = Math.ceil(Math.log2(8 * characters + 1))
  const unused = 32 - Math.min(Math.max(asked, COUNTED_BITS.least), COUNTED_BITS.most)
  const counts = new Uint8Array(2 ** (32 - unused))
  const countOf = (pair: number): number => counts[pair >>> unused]!
  const wording = new Wording()
  const lengths: number[] = []
  const different = new Set<number>()
  for (const text of texts) {
    different.clear()
    wording.scan(text, (pair) => {
      different.add(pair)
      return false
    })
    lengths.push(wording.words)
    for (const pair of different) {
      const slot = pair >>> unused
      if (counts[slot]! < 255) counts[slot]!++
    }
  }
  const { leastPrompts, kept } = frequentPairs(counts)
  let size = 32
  while (size < MOST_WORDS && 32 * size < 16 * kept) size *= 2
  const pairs = new Uint32Array(size)
  let [known, seen] = [0, 0]
  const windows: number[] = []
  const shown: [words: number, knownPairs: number][] = []
  for (const text of texts) {
    // without what the text itself adds to the counts
    wording.scan(text, (pair) => {
      if (countOf(pair) >= leastPrompts) addPair(pairs, pair)
      return countOf(pair) > leastPrompts
    })
    const { words, knownPairs } = wording
    known += knownPairs
    seen += Math.max(0, words - 1)
    if (words > WINDOW) windows.push(wording.least())
    shown.push([words, knownPairs])
  }
  const mean = seen > 0 ? known / seen : 0
  const shares = ascending(shown.map(([words, own]) => knownShare(words, own, mean)))
  const sorted = ascending(lengths)
  const enough = texts.length >= LEAST_PROMPTS
  return {
    pairs,
    least: enough
      ? Math.min(quantile(ascending(windows), UNFAMILIAR) ?? 0, MOST_LEAST * WINDOW)
      : 0,
    longest: enough ? quantile(sorted, 1 - TOO_LONG)! : Number.POSITIVE_INFINITY,
    typical: quantile(shares, TYPICAL) ?? 0,
    mean,
    shares: quantiles(shares),
    lengths: quantiles(sorted),
  }
}

/** The least number of prompts that a kept pair stands in, so that not too many are kept. */
function frequentPairs(counts: Uint8Array): { leastPrompts: number; kept: number } {
  const histogram = new Uint32Array(256)
  for (let i = 0; i < counts.length; i++) histogram[counts[i]!]!++
  let kept = 0
  let leastPrompts = 256
  while (leastPrompts > 1 && kept + histogram[leastPrompts - 1]! <= MOST_PAIRS) {
    kept += histogram[--leastPrompts]!
  }
  return { leastPrompts, kept }
}

const ascending = (values: readonly number[]): Float64Array => Float64Array.from(values).sort()

const quantile = (sorted: Float64Array, share: number): number | undefined =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]

const quantiles = (sorted: Float64Array): Float32Array =>
  sorted.length <= QUANTILES
    ? Float32Array.from(sorted.length > 0 ? sorted : [0])
    : Float32Array.from(
        { length: QUANTILES },
        (_, i) => sorted[Math.round((i * (sorted.length - 1)) / (QUANTILES - 1))]!,
      )
