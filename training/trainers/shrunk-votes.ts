import { real } from '../settings.ts'
import type { PreferenceColumns, TrainingRows } from '../trainer.ts'

export const SMOOTHING = real(
  0,
  'votes added to each prompt’s at the pair’s mean: several votes on one prompt and pair become one shrunk label',
  { minimum: 0, maximum: 1000 },
)

/**
 * The votes on one prompt and pair as one row: the mean of Beta(s mu, s (1 - mu)) after them,
 * (sum w y + s mu) / (sum w + s), counted sum w times. mu is the pair's mean over the split, itself with a vote
 * for either side added. With s = 0 the rows stay as they are, which is the same loss.
 */
export function withShrunkVotes(split: TrainingRows, smoothing: number): TrainingRows {
  const { preferences } = split
  if (!preferences || smoothing === 0) return split
  return { ...split, preferences: shrink(preferences, smoothing) }
}

interface Votes {
  readonly prompt: number
  readonly a: number
  readonly b: number
  wins: number
  weight: number
}

function shrink(votes: PreferenceColumns, smoothing: number): PreferenceColumns {
  const byPair = new Map<string, Votes>()
  const byPrompt = new Map<string, Votes>()
  for (const [i, prompt] of votes.prompt.entries()) {
    const [a, b] = [votes.modelA[i]!, votes.modelB[i]!]
    const turned = a > b
    const [first, second] = turned ? [b, a] : [a, b]
    const weight = votes.weight[i]!
    const wins = weight * (turned ? 1 - votes.label[i]! : votes.label[i]!)
    for (const [table, key] of [
      [byPair, `${first} ${second}`],
      [byPrompt, `${prompt} ${first} ${second}`],
    ] as const) {
      const known = table.get(key) ?? { prompt, a: first, b: second, wins: 0, weight: 0 }
      known.wins += wins
      known.weight += weight
      table.set(key, known)
    }
  }
  const rows = [...byPrompt.values()]
  return {
    prompt: Int32Array.from(rows, ({ prompt }) => prompt),
    modelA: Int32Array.from(rows, ({ a }) => a),
    modelB: Int32Array.from(rows, ({ b }) => b),
    label: Float32Array.from(rows, ({ a, b, wins, weight }) => {
      const pair = byPair.get(`${a} ${b}`)!
      const mean = (pair.wins + 1) / (pair.weight + 2)
      return (wins + smoothing * mean) / (weight + smoothing)
    }),
    weight: Float32Array.from(rows, ({ weight }) => weight),
  }
}
