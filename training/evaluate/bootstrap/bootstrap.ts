import type { OnProgress } from '../../../core/progress.ts'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import {
  CPT_LEVELS,
  emptyPass,
  gatherCounts,
  layOut,
  measurePass,
  type SampleSums,
  sampleSums,
} from '../metrics/curve-pass.ts'
import { GRID_STEPS, gainOnGrid } from '../metrics/curve-points.ts'
import { sortScores } from '../metrics/score-order.ts'
import { measureSpend, type SortedSpend, spendScratch } from '../metrics/spend-pass.ts'

/** One router's figures over the replicates; replicate b draws the same prompts for every router. */
export interface Replicates {
  readonly apgr: Float64Array
  readonly auc: Float64Array
  /** one array per level of CPT_LEVELS */
  readonly cpt: readonly Float64Array[]
  /** over only the first of the replicates */
  readonly aiq: Float64Array
  readonly saving: Float64Array
  /**
   * the curve on the grid of strong shares, one array per replicate, over the first BAND_REPLICATES; empty
   * unless asked for
   */
  readonly band: readonly Float64Array[]
}

export interface BootstrapInput {
  readonly routers: readonly SortedSpend[]
  /** sums over the sample, given how often each prompt was drawn */
  readonly sums: (counts: Uint8Array) => SampleSums
  readonly bands: boolean
  /** false if the interval of strong - weak contains 0: bands are then gains, not PGR */
  readonly clear: boolean
  readonly replicates: number
  readonly seed: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** Enough replicates for figures whose intervals need only two digits. */
const SPEND_REPLICATES = 200
/** Above this number of prompts intervals are narrow and the hull is expensive. */
const MANY_PROMPTS = 200_000
const SPEND_REPLICATES_OF_MANY = 50
const BAND_REPLICATES = 200

/**
 * Bootstrap over prompts, paired: every router is measured on the same draws. O(n) per replicate and router,
 * since a draw only re-weights an order that is sorted once.
 */
export async function bootstrapRouters(input: BootstrapInput): Promise<Replicates[]> {
  const { routers, replicates } = input
  const n = routers[0]?.router.order.length ?? 0
  warmUp()
  const random = createRandom(deriveSeed(input.seed, 'bootstrap'))
  const counts = new Uint8Array(n)
  const inOrder = new Uint8Array(n)
  const scratch = spendScratch(n)
  const pass = emptyPass()
  const results = routers.map(() => emptyReplicates(n, replicates, input.bands))
  const measure = (b: number, sorted: SortedSpend, into: Replicates, sums: SampleSums): void => {
    gatherCounts(sorted.router.order, counts, inOrder)
    measurePass(sorted.router, inOrder, sums, pass)
    into.apgr[b] = pass.apgr
    into.auc[b] = pass.auc
    for (let k = 0; k < CPT_LEVELS.length; k++) into.cpt[k]![b] = pass.cpt[k]!
    if (b < into.aiq.length) {
      const spend = measureSpend(sorted, inOrder, sums, scratch)
      into.aiq[b] = spend.aiq
      into.saving[b] = spend.saving
    }
    if (b < into.band.length) {
      const unit = input.clear ? sums.gain : sums.drawn
      gainOnGrid(sorted.router, inOrder, sums.drawn, unit, into.band[b]!)
    }
  }
  let breath = performance.now()
  for (let b = 0; b < replicates; b++) {
    random.resample(counts)
    const sums = input.sums(counts)
    routers.forEach((sorted, r) => {
      measure(b, sorted, results[r]!, sums)
    })
    if (performance.now() - breath < 50) continue
    input.onProgress?.({ stage: 'bootstrap', done: b + 1, total: replicates })
    await new Promise((resolve) => setImmediate(resolve))
    input.signal?.throwIfAborted()
    breath = performance.now()
  }
  return results
}

function emptyReplicates(n: number, replicates: number, bands: boolean): Replicates {
  const spend = Math.min(replicates, n > MANY_PROMPTS ? SPEND_REPLICATES_OF_MANY : SPEND_REPLICATES)
  return {
    apgr: new Float64Array(replicates),
    auc: new Float64Array(replicates),
    cpt: CPT_LEVELS.map(() => new Float64Array(replicates)),
    aiq: new Float64Array(spend),
    saving: new Float64Array(spend),
    band: Array.from(
      { length: bands ? Math.min(replicates, BAND_REPLICATES) : 0 },
      () => new Float64Array(GRID_STEPS + 1),
    ),
  }
}

/**
 * Runs the bootstrap's passes on a few prompts. V8 compiles a long loop while it first runs; if the code
 * after the loop never ran before, the compiled code has to be left at the end of every later call, which
 * made a million prompts three times slower.
 */
function warmUp(): void {
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
