import { type Bundle, ROUTER_FILE } from './bundle/read.ts'
import type { Embeddings } from './embeddings.ts'
import { type LinearHead, scoreLinear } from './linear-head.ts'
import type { NeighbourWeights } from './onnx/graph-head.ts'
import type { Scores } from './scores.ts'

/** A bundle's head, ready to score embeddings; which way it does so is nobody else's business. */
export interface HeadScorer {
  /** the folded head, where there is one: `explain` reads it */
  readonly linear?: LinearHead
  score(embeddings: Embeddings): Promise<Scores> | Scores
  /** The same at once, where no session is run. */
  scoreNow?(embeddings: Embeddings): Scores
  /** What training rows count for the first prompt, where the head asks them and can say so. */
  neighbours?(embeddings: Embeddings): Promise<NeighbourWeights | undefined>
  close(): Promise<void>
}

/** The folded head where the bundle has one, without ONNX Runtime; else `router.onnx`. */
export async function openHead(bundle: Bundle, threads: number): Promise<HeadScorer> {
  const linear = await bundle.head()
  if (linear) return linearScorer(linear)
  const { openGraphHead } = await import('./onnx/graph-head.ts')
  return openGraphHead(await bundle.file(ROUTER_FILE), threads)
}

export function linearScorer(linear: LinearHead): HeadScorer {
  return {
    linear,
    score: (embeddings) => scoreLinear(linear, embeddings),
    scoreNow: (embeddings) => scoreLinear(linear, embeddings),
    close: async () => {},
  }
}
