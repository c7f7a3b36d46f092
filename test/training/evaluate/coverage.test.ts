import { expect, test } from 'vitest'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import { percentileInterval } from '../../../core/stats/intervals.ts'
import { bootstrapRouters } from '../../../training/evaluate/bootstrap/bootstrap.ts'
import { layOut, sampleSums } from '../../../training/evaluate/metrics/curve-pass.ts'

import { sortScores } from '../../../training/evaluate/metrics/score-order.ts'

/**
 * Difficulty d is uniform and is the score itself: s - w has mean .6d, so with G(u) = integral of .6d over the top u,
 * APGR = integral of G / G(1) = 2/3 exactly. `npm run eval:bootstrap` runs the larger simulation.
 */
test('the 95% interval of APGR holds the truth in 95 of 100 samples, give or take chance', async () => {
  const samples = 300
  const rows = 250
  const extra = new Float64Array(rows).fill(1)
  let held = 0
  for (let s = 0; s < samples; s++) {
    const random = createRandom(deriveSeed(s, 'coverage'))
    const difficulty = Float64Array.from({ length: rows }, () => random.next())
    const gain = difficulty.map(
      (d) => Number(random.next() < 0.95 - 0.2 * d) - Number(random.next() < 0.95 - 0.8 * d),
    )
    const [draws] = await bootstrapRouters({
      routers: [{ router: layOut('', sortScores(difficulty), gain), extra }],
      sums: (counts) => sampleSums(counts, gain, undefined, undefined),
      bands: false,
      clear: true,
      replicates: 200,
      seed: s,
    })
    const { low, high } = percentileInterval(2 / 3, draws!.apgr)
    if (low! <= 2 / 3 && 2 / 3 <= high!) held += 1
  }
  // three standard errors of a share of 300
  expect(held / samples).toBeGreaterThan(0.95 - 0.038)
  expect(held / samples).toBeLessThan(0.95 + 0.038)
})
