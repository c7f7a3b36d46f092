import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import { withJudgeWeights } from '../../../training/judge-weights.ts'
import {
  outcomeTarget,
  type Target,
  withClassWeight,
  withShrunkVotes,
} from '../../../training/trainers/heads/targets.ts'
import type { TrainingRows } from '../../../training/trainers/trainer.ts'

const target: Target = {
  rows: Int32Array.of(0, 1, 2, 3),
  labels: Float32Array.of(1, 0, 0.5, 0),
  weights: Float32Array.of(1, 1, 2, 3),
}
/** sum of c1 w y (-log p) + c0 w (1 - y) (-log(1 - p)), as it is defined */
const classLoss = (p: number, c1: number, c0: number): number =>
  target.labels.reduce(
    (sum, y, i) =>
      sum - target.weights[i]! * (c1 * y * Math.log(p) + c0 * (1 - y) * Math.log(1 - p)),
    0,
  )
const rowLoss = ({ labels, weights }: Target, p: number): number =>
  labels.reduce((sum, y, i) => sum - weights[i]! * (y * Math.log(p) + (1 - y) * Math.log(1 - p)), 0)

describe('class_weight', () => {
  it('counts the two parts of the cross-entropy apart, ties between them', () => {
    for (const p of [0.1, 0.5, 0.8]) {
      expect(rowLoss(withClassWeight(target, 4), p)).toBeCloseTo(classLoss(p, 4, 1), 5)
      // 2 of 7 votes are wins
      const [c1, c0] = [3.5 / 2, 3.5 / 5]
      expect(rowLoss(withClassWeight(target, 'balanced'), p)).toBeCloseTo(classLoss(p, c1, c0), 5)
    }
  })

  it('balanced makes one half the best constant', () => {
    const balanced = withClassWeight(target, 'balanced')
    const at = (p: number): number => rowLoss(balanced, p)
    expect(at(0.5)).toBeLessThan(at(0.49))
    expect(at(0.5)).toBeLessThan(at(0.51))
  })

  it('leaves rows as they are with none, and where there is one class to balance', () => {
    expect(withClassWeight(target, 'none')).toBe(target)
    const wins = { ...target, labels: new Float32Array(4).fill(1) }
    expect(withClassWeight(wins, 'balanced')).toBe(wins)
  })
})

describe('smoothing', () => {
  const rows: TrainingRows = {
    embeddings: { kind: 'dense', rows: 3, dimension: 1, values: new Float32Array(3) },
    preferences: {
      // prompt 0 has three votes on models 0 and 1, one of them written the other way round
      prompt: Int32Array.of(0, 0, 0, 1, 2),
      modelA: Int32Array.of(0, 1, 0, 0, 2),
      modelB: Int32Array.of(1, 0, 1, 1, 0),
      label: Float32Array.of(1, 0, 0.5, 0, 1),
      weight: Float32Array.of(1, 2, 1, 1, 1),
    },
  }

  it('makes votes on one prompt and pair one Beta-shrunk label that counts as all of them', () => {
    const { preferences } = withShrunkVotes(rows, 2)
    expect([...preferences!.prompt]).toEqual([0, 1, 2])
    expect([...preferences!.modelA]).toEqual([0, 0, 0])
    expect([...preferences!.modelB]).toEqual([1, 1, 2])
    expect([...preferences!.weight]).toEqual([4, 1, 1])
    // pair (0, 1): 3.5 of 5 votes, and one for either side; prompt 0: 3.5 of 4
    const mean = 4.5 / 7
    expect(preferences!.label[0]).toBeCloseTo((3.5 + 2 * mean) / 6, 6)
    expect(preferences!.label[1]).toBeCloseTo((2 * mean) / 3, 6)
    // pair (0, 2), seen from model 0: no win of one vote
    expect(preferences!.label[2]).toBeCloseTo((2 * (1 / 3)) / 3, 6)
  })

  it('is off at 0, and pulls every label to the pair’s mean as it grows', () => {
    expect(withShrunkVotes(rows, 0)).toBe(rows)
    const { label } = withShrunkVotes(rows, 1000).preferences!
    expect(label[0]).toBeCloseTo(4.5 / 7, 2)
    expect(label[1]).toBeCloseTo(4.5 / 7, 2)
  })
})

describe('judge weights', () => {
  const dataset = {
    manifest: { judges: ['human', 'gpt-4', 'gpt-4-turbo'] },
    // train, validation, calibration, test
    split: Uint8Array.of(0, 1, 2, 3),
    preferences: {
      prompt: Int32Array.of(0, 0, 0, 0, 1, 2, 3),
      judge: Int32Array.of(0, 1, 2, -1, 1, 1, 1),
      weight: Float32Array.of(1, 1, 2, 1, 1, 1, 1),
    },
  } as unknown as Dataset

  it('weigh train and validation votes by the longest part of the judge’s name', () => {
    const weights = new Map([
      ['gpt-4', 0.5],
      ['gpt-4-turbo', 0.25],
    ])
    const weighed = withJudgeWeights(dataset, weights)
    expect([...weighed.preferences!.weight]).toEqual([1, 0.5, 0.5, 1, 0.5, 1, 1])
  })

  it('refuse a name that no judge has, naming those there are', () => {
    expect(() => withJudgeWeights(dataset, new Map([['claude', 1]]))).toThrow(
      /human, gpt-4, gpt-4-turbo.*--judge-weight, got claude/,
    )
  })

  it('refuse to leave train without a vote', () => {
    const only = {
      ...dataset,
      preferences: { ...dataset.preferences!, judge: Int32Array.of(1, 1, 2, 1, 1, 1, 1) },
    }
    expect(() => withJudgeWeights(only, new Map([['gpt', 0]]))).toThrow(/above 0/)
  })
})

it('answers of a head weigh by overlap, 1 on average, and leave the others as they are', () => {
  const scores = Float32Array.of(1, Number.NaN, 0, Number.NaN, Number.NaN, 1)
  const embeddings = { kind: 'dense', rows: 3, dimension: 1, values: new Float32Array(3) } as const
  const weights = Float32Array.of(0.1, 1, 0.3, 1, 1, 0.5)
  const head = (model: number) =>
    outcomeTarget({ embeddings, outcomes: { scores, weights } }, 2, model)
  expect([...head(0).rows]).toEqual([0, 1])
  expect(Array.from(head(0).weights, (w) => w.toFixed(4))).toEqual(['0.5000', '1.5000'])
  expect([...head(1).weights]).toEqual([1])
  expect([...outcomeTarget({ embeddings, outcomes: { scores } }, 2, 0).weights]).toEqual([1, 1])
})
