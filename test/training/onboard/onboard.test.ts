import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { type DenseEmbeddings, takeDense } from '../../../models/encoders/embeddings.ts'
import { type LinearHead, scoreLinear, sigmoid } from '../../../models/families/linear-head.ts'
import { fitModel, knownLogits, withColumn } from '../../../training/onboard/fit-model.ts'

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

const allAnswers = Array.from(scores, (label, row) => ({ row, label, weight: 1 }))

async function lossFrom(rows: readonly number[]): Promise<number> {
  const some = rows.map((row, place) => ({ row: place, label: scores[row]!, weight: 1 }))
  const grown = withColumn(head, fitModel(head, takeDense(embeddings, rows), some))
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
    const column = fitModel(head, embeddings, allAnswers)
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
    const column = fitModel(
      head,
      takeDense(embeddings, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
      Array.from({ length: 10 }, (_, row) => ({ row, label: 1, weight: 1 })),
    )
    expect(column.weights.every(Number.isFinite)).toBe(true)
    expect(Number.isFinite(column.bias)).toBe(true)
  })
})

describe('the posterior of a new model', () => {
  /** Minus its log: likelihood and prior written out a second time, in the known models' own logits. */
  const loss = (b: number, c: readonly number[]): number => {
    let total = b ** 2 / (2 * 0.05) + ((M - 1) * c.reduce((sum, v) => sum + v * v, 0)) / 2
    for (let row = 0; row < 60; row++) {
      const { quality } = scoreLinear(head, takeDense(embeddings, [row]))
      const logits = Array.from(quality!, (q) => Math.log(q / (1 - q)))
      const mean = logits.reduce((sum, v) => sum + v, 0) / M
      const z = mean + b + logits.reduce((sum, v, k) => sum + c[k]! * (v - mean), 0)
      total += Math.log1p(Math.exp(z)) - scores[row]! * z
    }
    return total
  }

  it('has its mode where no small step in any direction makes it likelier', () => {
    const column = fitModel(head, embeddings, allAnswers.slice(0, 60))
    // shares of the known models' columns, by least squares on more columns than shares
    const shares = sharesOf(column.weights)
    const sum = shares.reduce((total, a) => total + a, 0)
    expect(sum).toBeCloseTo(1, 5)
    const b = column.bias - shares.reduce((total, a, k) => total + a * head.bias[k]!, 0)
    // share k is (1 - sum of c) / M + c_k; the prior pulls the part along (1, ..., 1) to nothing
    const c = shares.map((a) => a - 1 / M)
    const least = loss(b, c)
    for (let k = -1; k < M; k++) {
      for (const step of [-0.01, 0.01]) {
        const moved = c.map((v, i) => (i === k ? v + step : v))
        expect(loss(k < 0 ? b + step : b, moved)).toBeGreaterThan(least - 1e-6)
      }
    }
  })

  it('follows comparisons with a known model: as good as the first one, no better than it', () => {
    const pairs = { ...head, link: 'bradley-terry' } as const
    const answers = Array.from({ length: 300 }, (_, row) => ({
      row,
      label: 0.5,
      weight: 1,
      against: 0,
    }))
    const grown = withColumn(pairs, fitModel(pairs, embeddings, answers))
    const { quality } = scoreLinear(grown, embeddings)
    let apart = 0
    let usual = 0
    for (let row = 0; row < 300; row++) {
      apart += Math.abs(quality![row * (M + 1) + M]! - quality![row * (M + 1)]!) / 300
      usual += Math.abs(quality![row * (M + 1) + 1]! - quality![row * (M + 1)]!) / 300
    }
    expect(apart).toBeLessThan(usual / 3)
  })
})

/** The a_k of weights = sum of a_k column_k, by the normal equations in coordinate steps. */
function sharesOf(weights: Float32Array): number[] {
  const shares = new Array<number>(M).fill(0)
  for (let step = 0; step < 20_000; step++) {
    const k = step % M
    let [along, size] = [0, 0]
    for (let j = 0; j < D; j++) {
      const own = head.weights[j * M + k]!
      let rest = weights[j]!
      for (let i = 0; i < M; i++) if (i !== k) rest -= shares[i]! * head.weights[j * M + i]!
      along += own * rest
      size += own * own
    }
    shares[k] = along / size
  }
  return shares
}

describe('probes', () => {
  it('are asked once each', () => {
    const features = knownLogits(head, takeDense(embeddings, [0, 0, 0, 1, 2, 3]))
    expect(chooseProbes(features, M + 1, 6).sort()).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('stand for the pool: what the known models did on them is near what they did on all', () => {
    const features = knownLogits(head, embeddings)
    const observed = Float64Array.from(scores)
    const apart = (rows: readonly number[]): number => {
      const level = observed.reduce((sum, y) => sum + y, 0) / observed.length
      return Math.abs(rows.reduce((sum, row) => sum + observed[row]!, 0) / rows.length - level)
    }
    const chosen = chooseProbes(features, M + 1, 50, observed)
    expect(new Set(chosen).size).toBe(50)
    const draws = Array.from({ length: 100 }, () =>
      apart(Array.from({ length: 50 }, () => random.int(2000))),
    )
    const usual = draws.reduce((sum, value) => sum + value, 0) / draws.length
    expect(apart(chosen)).toBeLessThan(usual / 2)
  })
})
