import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { DenseEmbeddings, Embeddings } from '../../../models/encoders/embeddings.ts'
import { sigmoid } from '../../../models/families/linear-head.ts'
import { fitLogistic } from '../../../training/solver/logistic.ts'
import { logLoss } from '../../../training/solver/logistic-problem.ts'

/** Soft labels from a known linear truth. */
function draw(rows: number, dimension: number, seed: number) {
  const random = createRandom(seed)
  const values = Float32Array.from({ length: rows * dimension }, () => random.normal())
  const truth = Float64Array.from({ length: dimension }, () => random.normal())
  const labels = new Float32Array(rows)
  for (let i = 0; i < rows; i++) {
    let z = 0.5
    for (let j = 0; j < dimension; j++) z += values[i * dimension + j]! * truth[j]!
    labels[i] = random.next() < 0.3 ? sigmoid(z) : Number(random.next() < sigmoid(z))
  }
  const embeddings: DenseEmbeddings = { kind: 'dense', rows, dimension, values }
  const weights = Float32Array.from({ length: rows }, () => 0.5 + random.next())
  return {
    embeddings,
    labels,
    weights,
    rows: Int32Array.from({ length: rows }, (_, i) => i),
    truth,
  }
}

function toSparse({ rows, dimension, values }: DenseEmbeddings): Embeddings {
  const offsets = Uint32Array.from({ length: rows + 1 }, (_, i) => i * dimension)
  const ids = Uint32Array.from({ length: rows * dimension }, (_, k) => k % dimension)
  return { kind: 'sparse', rows, dimension, offsets, ids, weights: values }
}

const problem = draw(400, 7, 1)
const settings = { l2: 1, maxIterations: 200, tolerance: 1e-10 }

describe.each([
  ['dense', problem.embeddings],
  ['sparse', toSparse(problem.embeddings)],
] as const)('fitLogistic on %s embeddings', (_, embeddings) => {
  test('reaches the minimum that Newton steps reach', async () => {
    const fit = await fitLogistic({ ...problem, embeddings, ...settings })
    const exact = newton(problem, settings.l2)
    expect(fit.converged).toBe(true)
    expect(fit.objective / exact.objective - 1).toBeLessThan(1e-7)
    for (const [j, w] of fit.weights.entries()) expect(w).toBeCloseTo(exact.x[j]!, 3)
    expect(fit.bias).toBeCloseTo(exact.x.at(-1)!, 4)
  })

  test('a weight of two is the row twice, and rows left out do not count', async () => {
    const rows = Int32Array.from([...Array(100).keys()].flatMap((i) => [i, i]))
    const labels = Float32Array.from(rows, (row) => problem.labels[row]!)
    const ones = new Float32Array(200).fill(1)
    const twice = await fitLogistic({ embeddings, rows, labels, weights: ones, ...settings })
    const heavy = await fitLogistic({
      embeddings,
      rows: problem.rows.subarray(0, 100),
      labels: problem.labels.subarray(0, 100),
      weights: new Float32Array(100).fill(2),
      ...settings,
    })
    for (const [j, w] of twice.weights.entries()) expect(w).toBeCloseTo(heavy.weights[j]!, 4)
  })

  test('columns with their own strength shrink by it', async () => {
    const l2Ranges = [{ from: 0, to: 1, l2: 1e6 }]
    const fit = await fitLogistic({ ...problem, embeddings, ...settings, l2Ranges })
    expect(Math.abs(fit.weights[0]!)).toBeLessThan(1e-3)
    expect(Math.abs(fit.weights[1]!)).toBeGreaterThan(0.1)
  })

  test('a start at the minimum takes no steps', async () => {
    const first = await fitLogistic({ ...problem, embeddings, ...settings })
    const again = await fitLogistic({
      ...problem,
      embeddings,
      ...settings,
      tolerance: 1e-6,
      init: first,
    })
    expect(again.iterations).toBe(0)
  })

  test('separable labels and a constant column give finite weights', async () => {
    const labels = Float32Array.from(problem.rows, (row) =>
      Number(problem.embeddings.values[row * 7]! > 0),
    )
    const fit = await fitLogistic({ ...problem, embeddings, labels, ...settings, l2: 1e-3 })
    expect([...fit.weights, fit.bias].every(Number.isFinite)).toBe(true)
  })

  test('an aborted signal is `cancelled`', async () => {
    const fit = fitLogistic({ ...problem, embeddings, ...settings, signal: AbortSignal.abort() })
    await expect(fit).rejects.toMatchObject({ code: 'cancelled' })
  })
})

test('a few strong directions that no column lies along cost no more iterations', async () => {
  const random = createRandom(4)
  const [rows, dimension, factors] = [3000, 40, 4]
  const directions = Float64Array.from({ length: factors * dimension }, () => random.normal())
  const values = new Float32Array(rows * dimension)
  for (let i = 0; i < rows; i++) {
    const strengths = Array.from({ length: factors }, (_, k) => (30 * random.normal()) / (1 + k))
    for (let j = 0; j < dimension; j++) {
      const along = strengths.reduce((sum, s, k) => sum + s * directions[k * dimension + j]!, 0)
      values[i * dimension + j] = random.normal() + along
    }
  }
  const labels = Float32Array.from({ length: rows }, () => Number(random.next() < 0.4))
  const fit = await fitLogistic({
    embeddings: { kind: 'dense', rows, dimension, values },
    rows: Int32Array.from({ length: rows }, (_, i) => i),
    labels,
    weights: new Float32Array(rows).fill(1),
    l2: 1e-3,
    maxIterations: 100,
    tolerance: 1e-6,
  })
  expect(fit.converged).toBe(true)
  expect(fit.iterations).toBeLessThan(15)
})

test('columns of very different scales are solved in few iterations', async () => {
  const { embeddings } = problem
  const scaled = embeddings.values.map((value, k) => value * 10 ** ((k % 7) - 3))
  const badly = { ...problem, embeddings: { ...embeddings, values: scaled } }
  const fit = await fitLogistic({ ...badly, ...settings, l2: 1e-3, tolerance: 1e-6 })
  expect(fit.converged).toBe(true)
  expect(fit.iterations).toBeLessThan(40)
})

/** The same objective minimised by Newton's method with a dense solve. */
function newton({ embeddings, labels, weights }: typeof problem, l2: number) {
  const d = embeddings.dimension
  const size = d + 1
  const x = new Float64Array(size)
  const feature = (i: number, j: number) => (j < d ? embeddings.values[i * d + j]! : 1)
  const logit = (i: number) => x.reduce((sum, value, j) => sum + value * feature(i, j), 0)
  for (let round = 0; round < 30; round++) {
    const gradient = Array.from(x, (value, j) => (j < d ? l2 * value : 0))
    const hessian = Array.from({ length: size }, (_, j) =>
      Array.from({ length: size }, (_, k) => (j === k && j < d ? l2 : 0)),
    )
    for (let i = 0; i < labels.length; i++) {
      const p = sigmoid(logit(i))
      for (let j = 0; j < size; j++) {
        gradient[j]! += weights[i]! * (p - labels[i]!) * feature(i, j)
        for (let k = 0; k < size; k++) {
          hessian[j]![k]! += weights[i]! * p * (1 - p) * feature(i, j) * feature(i, k)
        }
      }
    }
    const step = solve(hessian, gradient)
    for (let j = 0; j < size; j++) x[j]! -= step[j]!
  }
  let objective = 0
  for (let j = 0; j < d; j++) objective += (l2 / 2) * x[j]! ** 2
  for (let i = 0; i < labels.length; i++) objective += weights[i]! * logLoss(logit(i), labels[i]!)
  return { x, objective }
}

function solve(matrix: number[][], right: number[]): number[] {
  const n = right.length
  const a = matrix.map((row, i) => [...row, right[i]!])
  for (let i = 0; i < n; i++) {
    for (let r = i + 1; r < n; r++) {
      const factor = a[r]![i]! / a[i]![i]!
      for (let c = i; c <= n; c++) a[r]![c]! -= factor * a[i]![c]!
    }
  }
  const x = new Array<number>(n).fill(0)
  for (let i = n - 1; i >= 0; i--) {
    let rest = a[i]![n]!
    for (let c = i + 1; c < n; c++) rest -= a[i]![c]! * x[c]!
    x[i] = rest / a[i]![i]!
  }
  return x
}
