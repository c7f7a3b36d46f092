import type { Dataset, PairOptions } from '../dataset/dataset.ts'
import type { PairGain } from './pair-gain.ts'
import { pairGain } from './pair-gain.ts'

export interface ModelSummary {
  readonly model: string
  /** number of prompts with a score, and the means over them; null if there are none */
  readonly scored: number
  readonly score: number | null
  readonly cost: number | null
  readonly tokens: number | null
  /** number of votes it took part in */
  readonly votes: number
  readonly wins: number
  readonly losses: number
  readonly ties: number
}

/** Votes between two models, and prompts with scores for both, by the first model's result. */
export interface Meeting {
  readonly a: string
  readonly b: string
  readonly wins: number
  readonly losses: number
  readonly ties: number
  readonly both_bad: number
}

export interface Inspection {
  readonly rows: Dataset['manifest']['rows']
  /** rows left out, by reason, such as answers that nobody has rated yet */
  readonly left_out: Readonly<Record<string, number>>
  readonly counts: Dataset['manifest']['counts']
  /** most observed first */
  readonly models: readonly ModelSummary[]
  /** pairs that were compared, most votes first */
  readonly meetings: readonly Meeting[]
  /** prompts per category, most first; only prompts that have one */
  readonly categories: readonly { readonly category: string; readonly prompts: number }[]
  readonly judges: readonly { readonly judge: string; readonly votes: number }[]
  /** characters */
  readonly prompt_length: Readonly<Record<'p10' | 'p50' | 'p90' | 'max', number>>
  readonly pair?: PairGain
}

/** Summary figures of a dataset, and of one pair if given. */
export function inspect(
  dataset: Dataset,
  pair?: { readonly strong: string; readonly weak: string } & PairOptions,
): Inspection {
  const { manifest } = dataset
  return {
    rows: manifest.rows,
    left_out: manifest.left_out ?? {},
    counts: manifest.counts,
    models: modelSummaries(dataset),
    meetings: meetings(dataset),
    categories: tally(dataset.categories).map(([category, prompts]) => ({ category, prompts })),
    judges: judges(dataset),
    prompt_length: lengths(dataset.prompts),
    ...(pair && { pair: pairGain(dataset, pair.strong, pair.weak, pair) }),
  }
}

/** What a dataset holds of each model, most observed first. */
export function modelSummaries(dataset: Dataset): ModelSummary[] {
  const { models, preferences, outcomes } = dataset
  const votes = models.map(() => ({ votes: 0, wins: 0, losses: 0, ties: 0 }))
  for (let i = 0; preferences && i < preferences.prompt.length; i++) {
    const a = votes[preferences.modelA[i]!]!
    const b = votes[preferences.modelB[i]!]!
    a.votes++
    b.votes++
    const label = preferences.label[i]!
    if (label === 0.5) {
      a.ties++
      b.ties++
    } else {
      const [winner, loser] = label === 1 ? [a, b] : [b, a]
      winner.wins++
      loser.losses++
    }
  }
  const column = (values: Float32Array | undefined, m: number) =>
    mean(values, m, models.length, dataset.prompts.length)
  return models
    .map((model, m) => {
      const score = column(outcomes?.scores, m)
      return {
        model,
        scored: score.count,
        score: score.mean,
        cost: column(outcomes?.costs, m).mean,
        tokens: column(outcomes?.tokens, m).mean,
        ...votes[m]!,
      }
    })
    .sort((a, b) => b.scored + b.votes - (a.scored + a.votes))
}

function mean(
  values: Float32Array | undefined,
  column: number,
  width: number,
  rows: number,
): { readonly mean: number | null; readonly count: number } {
  let sum = 0
  let count = 0
  for (let i = 0; values && i < rows; i++) {
    const value = values[i * width + column]!
    if (Number.isNaN(value)) continue
    sum += value
    count++
  }
  return { mean: count > 0 ? sum / count : null, count }
}

type Counts = { wins: number; losses: number; ties: number; both_bad: number }

function meetings(dataset: Dataset): Meeting[] {
  const { models, preferences } = dataset
  const met = new Map<number, Counts>()
  const countsOf = (a: number, b: number): Counts => {
    const key = Math.min(a, b) * models.length + Math.max(a, b)
    const counts = met.get(key) ?? { wins: 0, losses: 0, ties: 0, both_bad: 0 }
    met.set(key, counts)
    return counts
  }
  for (let i = 0; preferences && i < preferences.prompt.length; i++) {
    const a = preferences.modelA[i]!
    const b = preferences.modelB[i]!
    const counts = countsOf(a, b)
    const label = preferences.label[i]!
    if (preferences.bothBad[i] === 1) counts.both_bad++
    else if (label === 0.5) counts.ties++
    else if ((label === 1) === a < b) counts.wins++
    else counts.losses++
  }
  addScored(dataset, countsOf)
  const total = (meeting: Meeting): number =>
    meeting.wins + meeting.losses + meeting.ties + meeting.both_bad
  return [...met]
    .map(([key, counts]) => ({
      a: models[Math.floor(key / models.length)]!,
      b: models[key % models.length]!,
      ...counts,
    }))
    .sort((x, y) => total(y) - total(x))
}

function addScored(
  { models, outcomes, prompts }: Dataset,
  countsOf: (a: number, b: number) => Counts,
): void {
  const m = models.length
  for (let a = 0; outcomes && a < m; a++) {
    for (let b = a + 1; b < m; b++) {
      let wins = 0
      let losses = 0
      let ties = 0
      for (let i = 0; i < prompts.length; i++) {
        const gain = outcomes.scores[i * m + a]! - outcomes.scores[i * m + b]!
        if (gain > 0) wins++
        else if (gain < 0) losses++
        else if (gain === 0) ties++
      }
      if (wins + losses + ties === 0) continue
      const counts = countsOf(a, b)
      counts.wins += wins
      counts.losses += losses
      counts.ties += ties
    }
  }
}

function judges({ manifest, preferences }: Dataset): { judge: string; votes: number }[] {
  const names = [...(preferences?.judge ?? [])].map((judge) => manifest.judges[judge])
  return tally(names).map(([judge, votes]) => ({ judge, votes }))
}

function tally(names: readonly (string | undefined)[]): [string, number][] {
  const counts = new Map<string, number>()
  for (const name of names) if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
}

function lengths(prompts: readonly string[]): Inspection['prompt_length'] {
  const sorted = Uint32Array.from(prompts, (prompt) => prompt.length).sort()
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  return { p10: at(0.1), p50: at(0.5), p90: at(0.9), max: at(1) }
}
