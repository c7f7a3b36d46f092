import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { expectedTokens, fitLengths } from '../../../scripts/eval/length-head.ts'
import type { DenseMatrix } from '../../../training/solver/dense-matrix.ts'
import { openProducts, type Products } from '../../../training/solver/products.ts'

let products: Products
beforeAll(async () => {
  products = await openProducts(1)
})
afterAll(() => products.close())

const ROWS = 2000
const COLUMNS = 3

/** Log-normal lengths whose expectations are known: exp(a + b z + s^2 / 2) - 1. */
function simulated(seed: number): { z: DenseMatrix; tokens: DenseMatrix; truth: Float64Array } {
  const random = createRandom(seed)
  const z = { rows: ROWS, columns: COLUMNS, values: new Float32Array(ROWS * COLUMNS) }
  const tokens = { rows: ROWS, columns: 2, values: new Float32Array(ROWS * 2) }
  const truth = new Float64Array(ROWS * 2)
  for (let i = 0; i < ROWS; i++) {
    for (let j = 0; j < COLUMNS; j++) z.values[i * COLUMNS + j] = random.normal()
    const [a, b] = [z.values[i * COLUMNS]!, z.values[i * COLUMNS + 1]!]
    for (const [c, log] of [4 + 0.5 * a, 5 - 0.4 * b].entries()) {
      const spread = 0.6
      truth[i * 2 + c] = Math.exp(log + spread ** 2 / 2) - 1
      tokens.values[i * 2 + c] = Math.exp(log + spread * random.normal()) - 1
    }
  }
  return { z, tokens, truth }
}

describe('the length head', () => {
  test('expects the mean of lengths, not of their logarithms, by what the prompt is', async () => {
    const { z, tokens } = simulated(1)
    const head = await fitLengths(z, tokens, products)
    const held = simulated(2)
    const expected = expectedTokens(head, held.z)
    const errors = expected.map((value, i) => Math.abs(value - held.truth[i]!) / held.truth[i]!)
    expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeLessThan(0.05)
  })

  test('never expects less than nothing, or more than was ever seen', async () => {
    const { z, tokens } = simulated(3)
    const head = await fitLengths(z, tokens, products)
    const far = { rows: 2, columns: COLUMNS, values: Float32Array.from([50, 0, 0, -50, 0, 0]) }
    const [high, , low] = expectedTokens(head, far)
    expect(high).toBeCloseTo(Math.max(...tokens.values.filter((_, i) => i % 2 === 0)), 3)
    expect(low).toBeGreaterThanOrEqual(0)
    expect(low).toBeLessThan(1)
  })

  test('is the mean where the prompt says nothing', async () => {
    const { tokens } = simulated(4)
    const z = { rows: ROWS, columns: COLUMNS, values: new Float32Array(ROWS * COLUMNS) }
    const head = await fitLengths(z, tokens, products)
    const [first] = expectedTokens(head, z)
    const its = tokens.values.filter((_, i) => i % 2 === 0)
    const mean = its.reduce((sum, value) => sum + value, 0) / ROWS
    expect(first! / mean).toBeCloseTo(1, 2)
  })
})
