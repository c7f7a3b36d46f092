import { describe, expect, it } from 'vitest'
import type { SparseEmbeddings } from '../../models/encoders/embeddings.ts'
import { type LinearHead, scoreLinear } from '../../models/families/linear-head.ts'

const row = [0.5, -1, 0, 2]
const dense = { kind: 'dense', rows: 1, dimension: 4, values: Float32Array.from(row) } as const
const sparse: SparseEmbeddings = {
  kind: 'sparse',
  rows: 1,
  dimension: 4,
  offsets: Uint32Array.of(0, 3),
  ids: Uint32Array.of(3, 0, 1),
  weights: Float32Array.of(2, 0.5, -1),
}
const head = (link: LinearHead['link'], outputs: number): LinearHead => ({
  link,
  outputs,
  dimension: 4,
  weights: Float32Array.from({ length: 4 * outputs }, (_, i) => (i % 3) - 0.5),
  bias: Float32Array.from({ length: outputs }, (_, k) => k / 4),
  strong: outputs === 1 ? 0 : 1,
  weak: 0,
})
const logit = ({ weights, bias, outputs }: LinearHead, k: number): number =>
  row.reduce((sum, value, j) => sum + value * weights[j * outputs + k]!, bias[k]!)
const sigmoid = (x: number): number => Math.exp(x) / (1 + Math.exp(x))

describe('scoreLinear', () => {
  it('takes the difference of two strengths for bradley-terry', () => {
    const two = head('bradley-terry', 2)
    const expected = sigmoid(logit(two, 1) - logit(two, 0))
    expect(scoreLinear(two, dense).winRate[0]).toBeCloseTo(expected, 12)
  })

  it('takes (1 + p_strong - p_weak) / 2 for success heads, with a quality a model', () => {
    const two = head('success', 2)
    const [weak, strong] = [sigmoid(logit(two, 0)), sigmoid(logit(two, 1))]
    const scores = scoreLinear(two, dense)
    expect(scores.winRate[0]).toBeCloseTo((1 + strong - weak) / 2, 12)
    expect(scores.quality![0]).toBeCloseTo(weak, 12)
    expect(scores.quality![1]).toBeCloseTo(strong, 12)
  })

  it('takes the one logit of a pair head, and gives no quality', () => {
    const one = head('pair', 1)
    const scores = scoreLinear(one, dense)
    expect(scores.winRate[0]).toBeCloseTo(sigmoid(logit(one, 0)), 12)
    expect(scores.quality).toBeUndefined()
  })

  it('scores a sparse row as the same dense one', () => {
    for (const link of ['bradley-terry', 'success'] as const) {
      expect(scoreLinear(head(link, 3), sparse).winRate[0]).toBeCloseTo(
        scoreLinear(head(link, 3), dense).winRate[0]!,
        12,
      )
    }
  })
})
