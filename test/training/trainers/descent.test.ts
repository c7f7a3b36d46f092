import { describe, expect, it } from 'vitest'
import { mlp } from '../../../models/families/mlp.ts'
import { descentOptions } from '../../../training/trainers/heads/descent.ts'
import type { TrainingRows } from '../../../training/trainers/trainer.ts'

const rows = (dimension: number): TrainingRows => ({
  embeddings: { kind: 'dense', rows: 2, dimension, values: new Float32Array(2 * dimension) },
  outcomes: { scores: Float32Array.of(1, 0, 0, 1) },
})
const optionsOf = (dimension: number, batchSize: number) =>
  descentOptions(
    {
      models: ['a', 'b'],
      strong: 0,
      weak: 1,
      train: rows(dimension),
      validation: rows(dimension),
      hyperparameters: { epochs: 3, batch_size: batchSize, learning_rate: 0.1, patience: 2 },
      seed: 1,
      engine: undefined as never,
      threads: 2,
    },
    mlp,
    { rows: 5000, width: 128 },
  )

describe('a fit by gradient steps', () => {
  it('takes a second thread only where a step is worth one', () => {
    expect(optionsOf(256, 64).threads).toBe(1)
    expect(optionsOf(1536, 2048).threads).toBe(2)
  })

  it('has no batch larger than its rows', () => {
    expect(optionsOf(8, 100_000).batchSize).toBe(5000)
  })
})
