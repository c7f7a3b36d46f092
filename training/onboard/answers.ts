import type { Dataset } from '../../data/dataset/dataset.ts'
import type { Link } from '../../models/families/linear-head.ts'
import type { Answer } from './fit-model.ts'

/** The answers of one model in a log, on the prompts where it has any. */
export interface Answers {
  /** indices into the dataset's prompts */
  readonly rows: readonly number[]
  /** the `row` of each answer is an index into `rows` */
  readonly answers: readonly Answer[]
}

/**
 * For success heads, the model's outcomes. For Bradley-Terry heads, its comparisons with known models: votes
 * and, on a prompt with outcomes of both, (1 + s - k) / 2. The comparisons of a prompt share a weight of 1,
 * since they all depend on the same answer.
 *
 * @param known the bundle's models, in the order of the head's columns
 */
export function answersOf(
  dataset: Dataset,
  model: string,
  link: Link,
  known: readonly string[],
): Answers {
  const column = dataset.models.indexOf(model)
  const m = dataset.models.length
  const { outcomes } = dataset
  const scoreOf = (row: number, of: number): number =>
    of < 0 || !outcomes ? Number.NaN : outcomes.scores[row * m + of]!
  const columns = known.map((name) => dataset.models.indexOf(name))
  const found = new Map<number, Omit<Answer, 'row' | 'weight'>[]>()
  const add = (row: number, answer: Omit<Answer, 'row' | 'weight'>): void => {
    found.set(row, [...(found.get(row) ?? []), answer])
  }
  for (let row = 0; row < dataset.prompts.length; row++) {
    const score = scoreOf(row, column)
    if (Number.isNaN(score)) continue
    if (link === 'success') add(row, { label: score })
    else {
      for (const [against, of] of columns.entries()) {
        const label = (1 + score - scoreOf(row, of)) / 2
        if (!Number.isNaN(label)) add(row, { label, against })
      }
    }
  }
  const { preferences } = dataset
  for (let i = 0; link !== 'success' && i < (preferences?.prompt.length ?? 0); i++) {
    const { prompt, modelA, modelB, label } = preferences!
    const [a, b] = [modelA[i]!, modelB[i]!]
    if (a !== column && b !== column) continue
    const against = columns.indexOf(a === column ? b : a)
    if (against >= 0) add(prompt[i]!, { label: a === column ? label[i]! : 1 - label[i]!, against })
  }
  const rows = [...found.keys()].sort((a, b) => a - b)
  return {
    rows,
    answers: rows.flatMap((row, place) => {
      const own = found.get(row)!
      return own.map((answer) => ({ ...answer, row: place, weight: 1 / own.length }))
    }),
  }
}

/** The known models' mean score on each of the rows, NaN where the log has none. */
export function knownScores(
  dataset: Dataset,
  rows: readonly number[],
  known: readonly string[],
): Float64Array {
  const m = dataset.models.length
  const columns = known.map((name) => dataset.models.indexOf(name)).filter((k) => k >= 0)
  return Float64Array.from(rows, (row) => {
    let [sum, seen] = [0, 0]
    for (const k of columns) {
      const score = dataset.outcomes?.scores[row * m + k] ?? Number.NaN
      if (Number.isNaN(score)) continue
      sum += score
      seen++
    }
    return seen > 0 ? sum / seen : Number.NaN
  })
}
