import { describe, expect, it } from 'vitest'
import type { Embeddings } from '../../../models/encoders/embeddings.ts'
import { comparisons } from '../../../training/trainers/heads/comparisons.ts'
import type { TrainingRows } from '../../../training/trainers/trainer.ts'

const embeddings = (rows: number): Embeddings => ({
  kind: 'dense',
  rows,
  dimension: 1,
  values: new Float32Array(rows),
})
const input = { models: ['a', 'b', 'c', 'd'], strong: 3, weak: 1, seed: 1 }
const outcomes = (...scores: number[]): TrainingRows => ({
  embeddings: embeddings(scores.length / 4),
  outcomes: { scores: Float32Array.from(scores) },
})

describe('comparisons', () => {
  it('labels a pair of outcomes (1 + s_a - s_b) / 2, and passes over what was not observed', () => {
    const found = comparisons(outcomes(1, Number.NaN, 0, 0.5), input, 10)
    expect([...found.modelA]).toEqual([0, 0, 2])
    expect([...found.modelB]).toEqual([2, 3, 3])
    expect([...found.label]).toEqual([1, 0.75, 0.25])
  })

  it('draws no more than asked a prompt, the routed pair always among them', () => {
    const scores = Array.from({ length: 40 }, (_, i) => i % 2)
    const found = comparisons(outcomes(...scores), input, 2)
    expect(found.prompt).toHaveLength(20)
    for (let prompt = 0; prompt < 10; prompt++) {
      const rows = [...found.prompt.keys()].filter((row) => found.prompt[row] === prompt)
      expect(rows.some((row) => found.modelA[row] === 3 && found.modelB[row] === 1)).toBe(true)
      expect(rows.every((row) => found.modelA[row] !== found.modelB[row])).toBe(true)
    }
  })

  it('keeps every vote of the log with its weight', () => {
    const split: TrainingRows = {
      embeddings: embeddings(2),
      preferences: {
        prompt: Int32Array.of(0, 0, 1),
        modelA: Int32Array.of(0, 0, 2),
        modelB: Int32Array.of(1, 1, 3),
        label: Float32Array.of(1, 0.5, 0),
        weight: Float32Array.of(1, 2, 1),
      },
    }
    const found = comparisons(split, input, 1)
    expect([...found.label]).toEqual([1, 0.5, 0])
    expect([...found.weight]).toEqual([1, 2, 1])
  })
})
