import type { OnProgress } from '../../core/progress.ts'
import { concatenate, type Embeddings } from '../../models/encoders/embeddings.ts'
import type { Router } from '../../models/router.ts'

/** Prompts handled at a time, so that a long log shows progress and can be stopped. */
const BATCH = 512

export interface Watch {
  readonly signal?: AbortSignal
  readonly onProgress?: OnProgress
}

/** The router's win rates for many prompts, in their order. */
export async function scoreAll(
  router: Router,
  prompts: readonly string[],
  { signal, onProgress }: Watch,
): Promise<Float64Array> {
  const winRate = new Float64Array(prompts.length)
  for (let at = 0; at < prompts.length; at += BATCH) {
    const scores = await router.score(prompts.slice(at, at + BATCH), signal)
    winRate.set(scores.winRate, at)
    onProgress?.({ stage: 'scoring', done: at + scores.winRate.length, total: prompts.length })
  }
  return winRate
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
