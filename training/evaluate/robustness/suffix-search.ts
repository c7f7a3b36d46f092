import { createRandom, deriveSeed } from '../../../core/random.ts'
import { perturbed, suffixed } from './perturbations.ts'

export interface SuffixSearch {
  /** words that a suffix is made of */
  readonly vocabulary: readonly string[]
  readonly words: number
  /** suffixes tried */
  readonly candidates: number
  readonly seed: number
  readonly direction: 'up' | 'down'
  readonly signal?: AbortSignal | undefined
  readonly onTried?: ((tried: number) => void) | undefined
}

/** The most frequent words of some texts, as an attacker who knows the language would have them. */
export function vocabularyOf(texts: readonly string[], most = 5000): string[] {
  const counts = new Map<string, number>()
  for (const text of texts) {
    for (const word of new Set(text.toLowerCase().match(/[\p{L}\p{N}]{2,}/gu) ?? [])) {
      counts.set(word, (counts.get(word) ?? 0) + 1)
    }
  }
  return [...counts]
    .sort(([a, most], [b, least]) => least - most || (a < b ? -1 : 1))
    .slice(0, most)
    .map(([word]) => word)
}

/**
 * A universal suffix: one text that moves the win rates of all prompts up (or down) when it is put after them,
 * found against the router itself. Hill climbing: a tenth of the candidates are random, then one to three words of
 * the best are replaced or exchanged at a time, and a change is kept if the mean log-odds over the queries moves
 * the right way (Shafran et al. 2025, arXiv 2501.01818, who do so with tokens).
 *
 * @param prompts the queries that every candidate is tried on
 */
export async function findSuffix(
  score: (prompts: readonly string[]) => Promise<Float64Array>,
  prompts: readonly string[],
  { vocabulary, words, candidates, seed, direction, signal, onTried }: SuffixSearch,
): Promise<string> {
  const random = createRandom(deriveSeed(seed, `suffix ${direction}`))
  const sign = direction === 'up' ? 1 : -1
  const word = (): string => vocabulary[random.int(vocabulary.length)] ?? 'the'
  let best: string[] = []
  let gain = Number.NEGATIVE_INFINITY
  for (let tried = 0; tried < candidates; tried++) {
    signal?.throwIfAborted()
    onTried?.(tried)
    const next =
      tried < candidates / 10
        ? Array.from({ length: words }, word)
        : changed(best, word, (n) => random.int(n))
    const change = suffixed('', next.join(' '))
    const rates = await score(prompts.map((prompt, row) => perturbed(prompt, row, change)))
    let sum = 0
    for (const rate of rates) sum += logOdds(rate)
    if (sign * sum > gain) {
      gain = sign * sum
      best = next
    }
  }
  return best.join(' ')
}

function changed(
  words: readonly string[],
  word: () => string,
  int: (below: number) => number,
): string[] {
  const next = [...words]
  for (let count = 1 + int(3); count > 0; count--) {
    const at = int(next.length)
    // now and then two words change places, which makes other pairs
    if (int(4) === 0) {
      const other = int(next.length)
      const held = next[at]!
      next[at] = next[other]!
      next[other] = held
    } else next[at] = word()
  }
  return next
}

function logOdds(rate: number): number {
  const p = Math.min(Math.max(rate, 1e-6), 1 - 1e-6)
  return Math.log(p / (1 - p))
}
