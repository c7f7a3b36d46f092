import { describe, expect, it } from 'vitest'
import type { DenseEmbeddings } from '../../../models/embeddings.ts'
import { takeDense } from '../../../models/embeddings.ts'
import { type LinearHead, scoreLinear, sigmoid } from '../../../models/linear-head.ts'
import { createRandom } from '../../../models/random.ts'
import { fitModel, withColumn } from '../../../training/onboard/fit-model.ts'
import { knownLogits } from '../../../training/onboard/known-logits.ts'
import { chooseProbes } from '../../../training/onboard/probes.ts'

const D = 40
const M = 6
const random = createRandom(11)
const draw = (n: number, scale: number): Float32Array =>
  Float32Array.from({ length: n }, () => scale * random.normal())
/** Six models that find the same prompts hard, each with leanings of its own. */
const hard = draw(D, 0.4)
const head: LinearHead = {
  link: 'success',
  outputs: M,
  dimension: D,
  weights: draw(D * M, 0.1).map((own, i) => own + hard[Math.floor(i / M)]!),
  bias: draw(M, 0.5),
  strong: 0,
  weak: 1,
}
const embeddings: DenseEmbeddings = {
  kind: 'dense',
  rows: 2000,
  dimension: D,
  values: draw(2000 * D, 1),
}
/** A seventh: much like the mean of them, and a little better. */
const truth = Float64Array.from({ length: 2000 }, (_, row) => {
  const mean = knownLogits(head, takeDense(embeddings, [row]))[0]!
  return sigmoid(1.3 * mean + 0.5)
})
const scores = Float32Array.from(truth, (p) => (random.next() < p ? 1 : 0))

const logLoss = (rate: (row: number) => number): number =>
  scores.reduce((sum, y, row) => {
    const p = Math.min(Math.max(rate(row), 1e-6), 1 - 1e-6)
    return sum - (y * Math.log(p) + (1 - y) * Math.log(1 - p)) / scores.length
  }, 0)

async function lossFrom(rows: readonly number[]): Promise<number> {
  const some = Float32Array.from(rows, (row) => scores[row]!)
  const grown = withColumn(head, await fitModel(head, takeDense(embeddings, rows), some))
  const { quality } = scoreLinear(grown, embeddings)
  return logLoss((row) => quality![row * (M + 1) + M]!)
}

describe('a new model', () => {
  it('is known from 50 probes to over 60% of what its true success rates would give', async () => {
    const probes = chooseProbes(knownLogits(head, embeddings), M + 1, 50)
    const base = scores.reduce((sum, y) => sum + y, 0) / scores.length
    const whole = logLoss(() => base) - logLoss((row) => truth[row]!)
    const gained = logLoss(() => base) - (await lossFrom(probes))
    expect(gained / whole).toBeGreaterThan(0.6)
  })

  it('leaves every known model’s quality as it was, to the bit', async () => {
    const column = await fitModel(head, embeddings, scores)
    const before = scoreLinear(head, embeddings)
    const after = scoreLinear(withColumn(head, column), embeddings)
    expect(after.winRate).toEqual(before.winRate)
    for (let i = 0; i < 100; i++) {
      for (let k = 0; k < M; k++) {
        expect(after.quality![i * (M + 1) + k]).toBe(before.quality![i * M + k])
      }
    }
  })

  it('that never failed a probe still gets a success rate below 1', async () => {
    const column = await fitModel(
      head,
      takeDense(embeddings, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
      new Float32Array(10).fill(1),
    )
    expect(column.weights.every(Number.isFinite)).toBe(true)
    expect(Number.isFinite(column.bias)).toBe(true)
  })
})

describe('probes', () => {
  it('are asked once each', () => {
    const features = knownLogits(head, takeDense(embeddings, [0, 0, 0, 1, 2, 3]))
    expect(chooseProbes(features, M + 1, 6).sort()).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('spread: of half a pool of copies few are asked', () => {
    const pool = Array.from({ length: 100 }, (_, i) => (i < 50 ? 0 : i))
    const features = knownLogits(head, takeDense(embeddings, pool))
    const chosen = chooseProbes(features, M + 1, 20)
    expect(chosen.filter((row) => row < 50).length).toBeLessThan(6)
  })
})
