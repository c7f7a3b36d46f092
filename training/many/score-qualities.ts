import { WeirError } from '../../models/errors.ts'
import type { OnProgress } from '../../models/progress.ts'
import type { Router } from '../../models/router.ts'

/** Prompts handled at a time, so that a long log shows progress and can be stopped. */
const BATCH = 512

/** The router's quality of every candidate on many prompts: n x candidates. */
export async function scoreQualities(
  router: Router,
  prompts: readonly string[],
  watch: {
    readonly signal?: AbortSignal | undefined
    readonly onProgress?: OnProgress | undefined
  },
): Promise<Float64Array> {
  const m = router.manifest.candidates.length
  const quality = new Float64Array(prompts.length * m)
  for (let at = 0; at < prompts.length; at += BATCH) {
    const part = prompts.slice(at, at + BATCH)
    const scores = await router.score(part, watch.signal)
    if (scores.quality?.length !== part.length * m) {
      const reason = `expected a quality of each of its ${m} candidates`
      throw new WeirError('onnx_failed', { action: 'score the prompts', reason })
    }
    quality.set(scores.quality, at * m)
    const done = at + part.length
    watch.onProgress?.({ stage: 'scoring', done, total: prompts.length })
  }
  return quality
}
