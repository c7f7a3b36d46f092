import { WeirError } from '../../../core/errors.ts'
import type { OnProgress } from '../../../core/progress.ts'
import { concatenate, type Embeddings } from '../../../models/encoders/embeddings.ts'
import type { Router } from '../../../models/router.ts'

/** Number of prompts scored at a time, so that a long log shows progress and can be stopped. */
const BATCH = 512

export interface Watch {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** A router's predictions for n prompts, in their order. */
export interface RouterScores {
  readonly winRate: Float64Array
  /** n x candidates, if the router predicts a quality for each */
  readonly quality?: Float64Array
}

/** Scores many prompts; `stage` names the progress. */
export async function scoreAll(
  router: Pick<Router, 'score'>,
  prompts: readonly string[],
  { signal, onProgress }: Watch,
  stage = 'scoring',
): Promise<RouterScores> {
  const winRate = new Float64Array(prompts.length)
  const quality: Float64Array[] = []
  for (let at = 0; at < prompts.length; at += BATCH) {
    const scores = await router.score(prompts.slice(at, at + BATCH), signal)
    winRate.set(scores.winRate, at)
    if (scores.quality) quality.push(scores.quality.slice())
    onProgress?.({ stage, done: at + scores.winRate.length, total: prompts.length })
  }
  return quality.length > 0 ? { winRate, quality: joined(quality) } : { winRate }
}

function joined(parts: readonly Float64Array[]): Float64Array {
  const whole = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** The router's predicted quality of every candidate on many prompts: n x candidates. */
export async function scoreQualities(
  router: Router,
  prompts: readonly string[],
  watch: Watch,
): Promise<Float64Array> {
  const m = router.manifest.candidates.length
  const { quality } = await scoreAll(router, prompts, watch)
  if (quality?.length === prompts.length * m) return quality
  const reason = `expected a quality of each of its ${m} candidates`
  throw new WeirError('onnx_failed', { action: 'score the prompts', reason })
}

/** The router's embeddings of many prompts, in their order. */
export async function embedAll(
  router: Router,
  prompts: readonly string[],
  { signal, onProgress }: Watch,
): Promise<Embeddings> {
  const parts: Embeddings[] = []
  for (let at = 0; at < prompts.length; at += BATCH) {
    signal?.throwIfAborted()
    parts.push(await router.embed(prompts.slice(at, at + BATCH)))
    onProgress?.({
      stage: 'encoding',
      done: Math.min(prompts.length, at + BATCH),
      total: prompts.length,
    })
  }
  return concatenate(parts)
}
