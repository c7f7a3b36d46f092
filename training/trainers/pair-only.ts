import type { Settings } from '../settings.ts'
import type { OutcomeColumns, TrainerInput, TrainingRows } from '../trainer.ts'

/** The same rows with the pair's outcomes alone. */
export type PairOnly<S extends Settings> = TrainerInput<S> & {
  /** the kept models among the others, ascending */
  readonly columns: readonly number[]
}

/** Votes stay as they are: families tell the pair's from the others'. */
export function pairOnly<S extends Settings>(input: TrainerInput<S>): PairOnly<S> {
  const { models, train, validation, strong, weak } = input
  const all = { ...input, columns: [...models.keys()] }
  if (models.length === 2 || !train.outcomes || train.preferences) return all
  const columns = [Math.min(strong, weak), Math.max(strong, weak)]
  const reduced = (split: TrainingRows): TrainingRows => ({
    ...split,
    ...(split.outcomes && { outcomes: picked(split.outcomes, models.length, columns) }),
  })
  return {
    ...input,
    columns,
    models: columns.map((k) => models[k]!),
    strong: columns.indexOf(strong),
    weak: columns.indexOf(weak),
    train: reduced(train),
    validation: reduced(validation),
  }
}

function picked(
  { scores, tokens }: OutcomeColumns,
  m: number,
  columns: readonly number[],
): OutcomeColumns {
  const take = (table: Float32Array): Float32Array => {
    const width = columns.length
    const taken = new Float32Array((table.length / m) * width)
    for (let at = 0; at < taken.length; at++) {
      taken[at] = table[Math.floor(at / width) * m + columns[at % width]!]!
    }
    return taken
  }
  return { scores: take(scores), ...(tokens && { tokens: take(tokens) }) }
}
