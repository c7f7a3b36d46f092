import { expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { HeadWeights } from '../../../models/families/family.ts'
import { knn } from '../../../models/families/knn.ts'
import { randomEmbeddings } from '../../../testing/family-contract.ts'
import {
  kernelWeights,
  listedWinRates,
  nearestLists,
} from '../../../training/trainers/neighbours/knn.ts'

it.each(['dense', 'sparse'] as const)(
  'listed neighbours of %s rows give knn’s own win rates',
  (kind) => {
    const random = createRandom(3)
    const [n, d, k] = [80, 12, 20]
    const rows = Float32Array.from({ length: n * d }, () => random.normal())
    // some twice, so that neighbours are as near as each other
    rows.copyWithin(0, 20 * d, 40 * d)
    const weights = (temperature: number, prior: number): HeadWeights => ({
      models: ['a', 'b', 'c'],
      tensors: {
        rows: { shape: [n, d], values: rows },
        scores: { shape: [n, 3], values: Float32Array.from({ length: n * 3 }, (_, i) => i % 2) },
        base: { shape: [3], values: Float32Array.of(0.4, 0.6, 0.5) },
        kernel: { shape: [3], values: Float32Array.of(k, temperature, prior) },
      },
    })
    const asked = randomEmbeddings(kind, 30, d)
    const pair = { strong: 1, weak: 2 }
    const lists = nearestLists(weights(1, 0), asked, k)
    for (const [temperature, prior] of [
      [0.125, 0.5],
      [0.5, 3],
    ] as const) {
      const held = weights(temperature, prior)
      const found = listedWinRates(held, pair, lists, kernelWeights(lists, temperature))
      expect(found).toEqual(knn.forward(held, pair, asked).winRate)
    }
  },
)
