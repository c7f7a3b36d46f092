import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { lengthColumn, lengthScale } from '../../../training/trainers/kernel/rows.ts'
import { fitOutcomeFactors } from '../../../training/trainers/kernel/stages.ts'

const M = 6
const N = 400

/** Scores that one number explains but for noise, and lengths that another does. */
function world(seed: number) {
  const random = createRandom(seed)
  const ease = Float64Array.from({ length: N }, () => random.normal())
  const work = Float64Array.from({ length: N }, () => random.normal())
  const scores = new Float32Array(N * M)
  const tokens = new Float32Array(N * M)
  for (let i = 0; i < N; i++) {
    for (let k = 0; k < M; k++) {
      scores[i * M + k] = 0.5 + 0.2 * ease[i]! + 0.05 * random.normal()
      tokens[i * M + k] = Math.exp(5 + work[i]! + 0.1 * random.normal())
    }
  }
  return { ease, work, scores, tokens }
}

function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const mean = (x: ArrayLike<number>): number => Array.from(x).reduce((s, v) => s + v, 0) / x.length
  const [ma, mb] = [mean(a), mean(b)]
  let [ab, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    ab += (a[i]! - ma) * (b[i]! - mb)
    aa += (a[i]! - ma) ** 2
    bb += (b[i]! - mb) ** 2
  }
  return ab / Math.sqrt(aa * bb)
}

const column = (values: Float32Array, columns: number, k: number): number[] =>
  Array.from({ length: values.length / columns }, (_, i) => values[i * columns + k]!)

describe('the factors of outcomes', () => {
  it('find what the scores and the lengths have in common, on rows they were not fitted on too', () => {
    const factors = fitOutcomeFactors(world(1), M, 2)
    const fresh = world(2)
    const { values, columns } = factors.of(fresh)
    expect(columns).toBe(2)
    const found = [0, 1].map((k) => column(values, columns, k))
    const nearest = (truth: Float64Array): number =>
      Math.max(...found.map((factor) => Math.abs(correlation(factor, truth))))
    expect(nearest(fresh.ease)).toBeGreaterThan(0.97)
    expect(nearest(fresh.work)).toBeGreaterThan(0.97)
  })

  it('vary most first, and not together', () => {
    const { scores } = world(3)
    const { values, columns } = fitOutcomeFactors({ scores }, M, 3).of({ scores })
    const found = [0, 1, 2].map((k) => column(values, columns, k))
    const variance = found.map((factor) => factor.reduce((sum, v) => sum + v * v, 0))
    expect(variance[0]).toBeGreaterThan(10 * variance[1]!)
    expect(Math.abs(correlation(found[0]!, found[1]!))).toBeLessThan(1e-3)
  })

  it('are as many as vary: none of outcomes that never do', () => {
    const scores = new Float32Array(N * M).fill(1)
    expect(fitOutcomeFactors({ scores }, M, 8).count).toBe(0)
    const two = Float32Array.from({ length: N * 2 }, (_, i) => (i % 3 === 0 ? 1 : 0))
    expect(fitOutcomeFactors({ scores: two }, 2, 8).count).toBe(2)
  })

  it('take what was not observed for the mean', () => {
    const { scores } = world(4)
    const factors = fitOutcomeFactors({ scores }, M, 1)
    const unknown = new Float32Array(M).fill(Number.NaN)
    expect(factors.of({ scores: unknown }).values[0]).toBe(0)
  })
})

describe('lengths of answers', () => {
  it('are in standard deviations of their logarithm, and no farther than three', () => {
    const tokens = [10, 100, 1000, Number.NaN, 1e30].map((x) => x - (x < 1e6 ? 1 : 0))
    const scale = lengthScale(tokens.slice(0, 4), 1, 0)
    const [low, middle, high, unknown, far] = lengthColumn(tokens, 1, 0, scale)
    expect(middle).toBeCloseTo(0, 9)
    expect(high).toBeCloseTo(Math.sqrt(1.5), 9)
    expect(low).toBeCloseTo(-Math.sqrt(1.5), 9)
    expect(unknown).toBe(0)
    expect(far).toBe(3)
  })
})
