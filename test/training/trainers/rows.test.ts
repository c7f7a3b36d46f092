import { describe, expect, it } from 'vitest'
import { pairOnly } from '../../../training/trainers/ensemble/ensemble.ts'
import { takeTrainingRows } from '../../../training/trainers/splits.ts'
import type { TrainerInput, TrainingRows } from '../../../training/trainers/trainer.ts'

const embeddings = {
  kind: 'dense',
  rows: 3,
  dimension: 1,
  values: Float32Array.of(0, 1, 2),
} as const
const outcomes = {
  scores: Float32Array.of(0, 0.1, 0.2, 1, 1.1, 1.2, 2, 2.1, 2.2),
  tokens: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9),
}
const preferences = {
  prompt: Int32Array.of(0, 2, 2, 1),
  modelA: Int32Array.of(0, 1, 2, 0),
  modelB: Int32Array.of(1, 2, 0, 2),
  label: Float32Array.of(1, 0, 0.5, 1),
  weight: Float32Array.of(1, 2, 3, 4),
}

describe('rows taken from a split', () => {
  it('keep what was observed of them, under their new numbers', () => {
    const taken = takeTrainingRows({ embeddings, outcomes, preferences }, [2, 0])
    expect(taken.embeddings).toMatchObject({ rows: 2, values: Float32Array.of(2, 0) })
    expect(taken.outcomes!.scores).toEqual(Float32Array.of(2, 2.1, 2.2, 0, 0.1, 0.2))
    expect(taken.outcomes!.tokens).toEqual(Float32Array.of(7, 8, 9, 1, 2, 3))
    expect(taken.preferences).toEqual({
      prompt: Int32Array.of(1, 0, 0),
      modelA: Int32Array.of(0, 1, 2),
      modelB: Int32Array.of(1, 2, 0),
      label: Float32Array.of(1, 0, 0.5),
      weight: Float32Array.of(1, 2, 3),
    })
  })
})

describe('the pair alone', () => {
  const input = (split: TrainingRows): TrainerInput => ({
    models: ['a', 'b', 'c'],
    strong: 2,
    weak: 0,
    train: split,
    validation: split,
    hyperparameters: {},
    seed: 1,
    engine: undefined as never,
    threads: 1,
  })

  it('keeps the two models’ columns in their order', () => {
    const own = pairOnly(input({ embeddings, outcomes }))
    expect(own).toMatchObject({ models: ['a', 'c'], strong: 1, weak: 0, columns: [0, 2] })
    for (const split of [own.train, own.validation]) {
      expect(split.outcomes!.scores).toEqual(Float32Array.of(0, 0.2, 1, 1.2, 2, 2.2))
      expect(split.outcomes!.tokens).toEqual(Float32Array.of(1, 3, 4, 6, 7, 9))
    }
  })

  it('leaves votes as they are', () => {
    const given = input({ embeddings, preferences })
    expect(pairOnly(given)).toEqual({ ...given, columns: [0, 1, 2] })
  })
})
