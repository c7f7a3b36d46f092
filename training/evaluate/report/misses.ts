import { sortScores } from '../metrics/score-order.ts'

/** A prompt that only the strong model does well on but that was sent to the weak one. */
export interface Miss {
  /** cut to 600 characters */
  readonly prompt: string
  readonly category: string | null
  readonly win_rate: number
  /** s - w */
  readonly gain: number
}

const SHOWN = 600

/**
 * The most costly misses: by what was lost, then by how confident the router was.
 *
 * @param estimated 1 for prompts whose gain is an estimate: what was lost on a single one of them is not known
 */
export function worstMisses(
  winRate: ArrayLike<number>,
  threshold: number,
  gain: Float64Array,
  prompts: readonly string[],
  categories: readonly (string | undefined)[] | undefined,
  estimated?: Uint8Array,
  limit = 20,
): Miss[] {
  const { order, groupEnd } = sortScores(gain)
  const misses: Miss[] = []
  for (let i = 0, from = 0; i < order.length && misses.length < limit; i++) {
    if (!groupEnd[i]) continue
    if (gain[order[i]!]! <= 0) break
    const wrong = order
      .slice(from, i + 1)
      .filter((prompt) => winRate[prompt]! < threshold && estimated?.[prompt] !== 1)
    wrong.sort((a, b) => winRate[a]! - winRate[b]! || a - b)
    for (const prompt of wrong.subarray(0, limit - misses.length)) {
      const text = prompts[prompt]!
      misses.push({
        prompt: text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text,
        category: categories?.[prompt] ?? null,
        win_rate: winRate[prompt]!,
        gain: gain[prompt]!,
      })
    }
    from = i + 1
  }
  return misses
}
