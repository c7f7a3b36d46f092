import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { DenseMatrix } from '../../../training/solver/dense-matrix.ts'
import { openProducts, type Products } from '../../../training/solver/products.ts'
import {
  addMoments,
  choleskyInverse,
  momentsOf,
  ridgePath,
  solveRidge,
} from '../../../training/solver/ridge.ts'

const random = createRandom(8)
const matrix = (rows: number, columns: number): DenseMatrix => ({
  rows,
  columns,
  values: Float32Array.from({ length: rows * columns }, () => random.normal() + 0.3),
})
const N = 120
const D = 9
const K = 3
const z = matrix(N, D)
const t = matrix(N, K)
const scale = Float64Array.from({ length: D }, (_, j) => (j === 4 ? 0 : 0.5 + j / 4))
let products: Products
beforeAll(async () => {
  products = await openProducts(1)
})
afterAll(() => products.close())

describe('products', () => {
  it.each([
    ['A B', undefined, matrix(5, 4), matrix(4, 3)],
    ["A' B", 'left', matrix(4, 5), matrix(4, 3)],
    ["A B'", 'right', matrix(5, 4), matrix(3, 4)],
  ] as const)('%s is what the sums say', async (_, turned, a, b) => {
    const at = ({ values, columns }: DenseMatrix, i: number, j: number) => values[i * columns + j]!
    const found = await products.multiply(a, b, turned)
    expect([found.rows, found.columns]).toEqual([5, 3])
    for (let i = 0; i < 5; i++) {
      for (let j = 0; j < 3; j++) {
        let sum = 0
        for (let k = 0; k < 4; k++) {
          sum +=
            (turned === 'left' ? at(a, k, i) : at(a, i, k)) *
            (turned === 'right' ? at(b, j, k) : at(b, k, j))
        }
        expect(at(found, i, j)).toBeCloseTo(sum, 5)
      }
    }
  })
})

describe('ridge regression', () => {
  it('leaves no slope: residuals sum to 0 and balance the penalty in every column', async () => {
    const { weights, bias } = solveRidge(await momentsOf(z, t, products), 4, scale)
    for (let c = 0; c < K; c++) {
      const residual = Float64Array.from({ length: N }, (_, i) => {
        let fitted = bias[c]!
        for (let j = 0; j < D; j++) fitted += z.values[i * D + j]! * weights[j * K + c]!
        return t.values[i * K + c]! - fitted
      })
      expect(residual.reduce((sum, r) => sum + r, 0)).toBeCloseTo(0, 3)
      for (let j = 0; j < D; j++) {
        if (scale[j] === 0) {
          expect(weights[j * K + c]).toBe(0)
          continue
        }
        const pull = residual.reduce((sum, r, i) => sum + r * z.values[i * D + j]!, 0)
        expect(pull).toBeCloseTo((4 * weights[j * K + c]!) / scale[j]! ** 2, 3)
      }
    }
  })

  it('is the same from parts of the rows added up', async () => {
    const half = ({ columns, values }: DenseMatrix, from: number): DenseMatrix => ({
      rows: N / 2,
      columns,
      values: values.slice(from * columns, (from + N / 2) * columns),
    })
    const parts = [0, N / 2].map((from) => momentsOf(half(z, from), half(t, from), products))
    const joined = solveRidge(addMoments(await Promise.all(parts)), 4, scale)
    const whole = solveRidge(await momentsOf(z, t, products), 4, scale)
    joined.weights.forEach((weight, i) => {
      expect(weight).toBeCloseTo(whole.weights[i]!, 4)
    })
  })

  it('takes the same difference of targets along a path of penalties as one penalty alone', async () => {
    const moments = await momentsOf(z, t, products)
    const path = ridgePath(moments, [50, 4, 0.5], scale, [2, 0])
    for (const [step, l2] of [50, 4, 0.5].entries()) {
      const { weights } = solveRidge(moments, l2, scale)
      for (let j = 0; j < D; j++) {
        expect(path[step]![j]).toBeCloseTo(weights[j * K + 2]! - weights[j * K]!, 3)
      }
    }
  })

  it('inverts a positive definite matrix', () => {
    const a = Float64Array.from([4, 1, 0.5, 1, 3, -0.2, 0.5, -0.2, 2])
    const inverse = choleskyInverse(a.slice(), 3)
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 3; j++) {
        let sum = 0
        for (let k = 0; k < 3; k++) sum += a[i * 3 + k]! * inverse[k * 3 + j]!
        expect(sum).toBeCloseTo(i === j ? 1 : 0, 10)
      }
    }
  })
})
