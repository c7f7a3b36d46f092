import type { Explanation } from './decision.ts'

/** Parts that a prompt is cut into at the most: each costs one more look of the encoder and the head. */
const MAX_PARTS = 16
/** Characters that all looks together may have: bounds what one explanation costs. */
const MAX_CHARACTERS = 400_000
/** Words of a longer prompt are not told apart one by one. */
const LONG = 10_000
/** Characters of a part that stand in its name. */
const NAME = 60
/** Win rates nearer 0 or 1 than this count as this near. */
const MARGIN = 1e-6

/**
 * What each part of a prompt does to the win rate of a head that says nothing of itself: the log-odds, less
 * those without the part. Parts are words, or runs of words where there are many. They do not add up: what two
 * parts say alike, neither loses where one is left out.
 *
 * @param score calibrated win rates of texts
 */
export async function explainParts(
  prompt: string,
  score: (texts: readonly string[]) => Promise<Float64Array>,
): Promise<Explanation['features']> {
  const parts = partsOf(prompt)
  // what is left must be something to score
  const left = parts
    .map(({ from, to }) => ({ from, to, text: prompt.slice(0, from) + prompt.slice(to) }))
    .filter(({ text }) => /\S/.test(text))
  if (left.length === 0) return []
  const rates = await score([prompt, ...left.map(({ text }) => text)])
  const whole = logOdds(rates[0]!)
  const features = left.map(({ from, to }, i) => ({
    name: nameOf(prompt.slice(from, to)),
    contribution: whole - logOdds(rates[i + 1]!),
  }))
  return features
    .filter(({ contribution }) => contribution !== 0)
    .sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution))
}

/** Runs of whole words, as equal in number as can be, that make up the prompt; fewer of a long one. */
function partsOf(prompt: string): { readonly from: number; readonly to: number }[] {
  const starts = prompt.length <= LONG ? wordStarts(prompt) : spreadStarts(prompt)
  const most = Math.min(MAX_PARTS, Math.max(2, Math.floor(MAX_CHARACTERS / prompt.length)))
  const count = Math.min(starts.length, most)
  return Array.from({ length: count }, (_, i) => ({
    from: starts[Math.floor((i * starts.length) / count)]!,
    to: starts[Math.floor(((i + 1) * starts.length) / count)] ?? prompt.length,
  }))
}

const wordStarts = (prompt: string): number[] =>
  [...prompt.matchAll(/\S+/g)].map(({ index }) => index)

/** Starts of words near equally spaced places, without a look at every word. */
function spreadStarts(prompt: string): number[] {
  const starts = new Set<number>()
  for (let k = 0; k < MAX_PARTS; k++) {
    const blank = /\s\S/g
    blank.lastIndex = Math.floor((k * prompt.length) / MAX_PARTS)
    const found = k === 0 ? { index: -1 } : blank.exec(prompt)
    if (found) starts.add(found.index + 1)
  }
  return [...starts]
}

function nameOf(text: string): string {
  const one = text
    .slice(0, 4 * NAME)
    .trim()
    .replace(/\s+/g, ' ')
  return one.length <= NAME ? `“${one}”` : `“${[...one].slice(0, NAME).join('')}…”`
}

function logOdds(rate: number): number {
  const p = Math.min(Math.max(rate, MARGIN), 1 - MARGIN)
  return Math.log(p / (1 - p))
}
