import type { OnProgress } from '../../models/progress.ts'
import { createRandom, deriveSeed, type Random } from '../../models/random.ts'
import { CPT_LEVELS, emptyPass, measurePass, type SortedRouter } from './curve-pass.ts'

/** One router's figures over the replicates; replicate b drew the same prompts for every router. */
export interface Replicates {
  readonly apgr: Float64Array
  readonly auc: Float64Array
  /** one array a level of CPT_LEVELS */
  readonly cpt: readonly Float64Array[]
}

export interface BootstrapOptions {
  readonly replicates: number
  readonly seed: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** Draws n prompts with replacement: `counts[i]` becomes how often prompt i was drawn (at most 255). */
export function drawCounts(random: Random, counts: Uint8Array): void {
  const n = counts.length
  counts.fill(0)
  for (let i = 0; i < n; i++) counts[random.int(n)]! += 1
}

/**
 * Bootstrap over prompts, paired: every router is measured on the same draws. O(n) a replicate and router, since
 * a draw only re-weights an order that was sorted once.
 */
export async function bootstrapRouters(
  routers: readonly SortedRouter[],
  options: BootstrapOptions,
): Promise<Replicates[]> {
  const { replicates } = options
  const n = routers[0]?.order.length ?? 0
  const random = createRandom(deriveSeed(options.seed, 'bootstrap'))
  const counts = new Uint8Array(n)
  const pass = emptyPass()
  const results: Replicates[] = routers.map(() => ({
    apgr: new Float64Array(replicates),
    auc: new Float64Array(replicates),
    cpt: CPT_LEVELS.map(() => new Float64Array(replicates)),
  }))
  let breath = performance.now()
  for (let b = 0; b < replicates; b++) {
    drawCounts(random, counts)
    for (let r = 0; r < routers.length; r++) {
      measurePass(routers[r]!, counts, pass)
      const into = results[r]!
      into.apgr[b] = pass.apgr
      into.auc[b] = pass.auc
      for (let k = 0; k < CPT_LEVELS.length; k++) into.cpt[k]![b] = pass.cpt[k]!
    }
    if (performance.now() - breath < 50) continue
    options.onProgress?.({ stage: 'bootstrap', done: b + 1, total: replicates })
    await new Promise((resolve) => setImmediate(resolve))
    options.signal?.throwIfAborted()
    breath = performance.now()
  }
  return results
}
