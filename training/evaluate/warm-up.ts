import { createRandom } from '../../models/random.ts'
import { emptyPass, gatherCounts, layOut, measurePass } from './curve-pass.ts'
import { GRID_STEPS, gainOnGrid } from './curve-points.ts'
import { sampleSums } from './sample-sums.ts'
import { sortScores } from './score-order.ts'
import { measureSpend, spendScratch } from './spend-pass.ts'

/**
 * Runs the bootstrap's passes on a few prompts. V8 compiles a long loop while it first runs; without having seen
 * what follows the loop it compiles code that it must leave at the end of every later call, which made a million
 * prompts three times slower.
 */
export function warmUp(): void {
  const n = 40
  const random = createRandom(1)
  const counts = new Uint8Array(n)
  const inOrder = new Uint8Array(n)
  const gain = Float64Array.from({ length: n }, (_, i) => (i % 5) - 1)
  const weak = new Float32Array(n)
  const spend = { strong: new Float64Array(n).fill(2), weak: new Float64Array(n).fill(1) }
  const router = layOut('', sortScores(gain.map((_, i) => Math.floor((i * 7) % 31))), gain)
  const sorted = { router, extra: new Float64Array(n).fill(1.5) }
  const pass = emptyPass()
  const scratch = spendScratch(n)
  const grid = new Float64Array(GRID_STEPS + 1)
  for (let round = 0; round < 30; round++) {
    random.resample(counts)
    const sums = sampleSums(counts, gain, weak, round % 2 === 0 ? spend : undefined)
    gatherCounts(router.order, counts, inOrder)
    measurePass(router, inOrder, sums, pass)
    measureSpend(sorted, inOrder, sums, scratch)
    gainOnGrid(router, inOrder, sums.drawn, sums.gain, grid)
  }
}
