import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { DenseMatrix } from '../../../training/solver/dense-matrix.ts'
import { openProducts, type Products } from '../../../training/solver/products.ts'
import { nystroemFeatures } from '../../../training/trainers/kernel/features.ts'

const D = 3
const WIDTH = 2
let products: Products
beforeAll(async () => {
  products = await openProducts(1)
})
afterAll(() => products.close())

const matrix = (rows: number, seed: number): DenseMatrix => {
  const random = createRandom(seed)
  const values = Float32Array.from({ length: rows * D }, () => random.normal())
  return { rows, columns: D, values }
}
const kernel = (a: DenseMatrix, i: number, b: DenseMatrix, j: number): number => {
  let apart = 0
  for (let k = 0; k < D; k++) apart += (a.values[i * D + k]! - b.values[j * D + k]!) ** 2
  return Math.exp(-apart / WIDTH)
}

it('features whose products are the kernel, and a head that says the same', async () => {
  const centres = matrix(12, 1)
  const x = matrix(30, 2)
  const map = await nystroemFeatures(centres, WIDTH, products)
  const n = map.columns
  const [own, theirs] = [await map.features(x), await map.features(centres)]
  const dot = (i: number, j: number): number => {
    let sum = 0
    for (let k = 0; k < n; k++) sum += own.values[i * n + k]! * theirs.values[j * n + k]!
    return sum
  }
  for (let i = 0; i < x.rows; i++) {
    for (let j = 0; j < n; j++) expect(dot(i, j)).toBeCloseTo(kernel(x, i, centres, j), 2)
  }
  const weights = { rows: n, columns: 1, values: Float32Array.from({ length: n }, (_, k) => k - 5) }
  const { coefficients, width } = await map.fold(weights)
  expect(width!.values[0]).toBe(WIDTH)
  for (let i = 0; i < x.rows; i++) {
    let [bySum, byHead] = [0, 0]
    for (let k = 0; k < n; k++) {
      bySum += own.values[i * n + k]! * weights.values[k]!
      byHead += kernel(x, i, centres, k) * coefficients!.values[k]!
    }
    expect(Math.abs(byHead - bySum)).toBeLessThan(1e-3 * (1 + Math.abs(bySum)))
  }
})
