import type { Embeddings } from '../../models/embeddings.ts'
import { type LinearHead, linearLogits } from '../../models/linear-head.ts'

/**
 * What the known models say of n prompts, as features of one more: column 0 is the mean of their success
 * logits, column 1 + k is model k's distance from it. n x (1 + m), row-major.
 */
export function knownLogits(head: LinearHead, embeddings: Embeddings): Float32Array {
  const m = head.outputs
  const out = new Float32Array(embeddings.rows * (m + 1))
  const logits = new Float64Array(m)
  for (let row = 0; row < embeddings.rows; row++) {
    linearLogits(head, embeddings, row, logits)
    const mean = logits.reduce((sum, logit) => sum + logit, 0) / m
    out[row * (m + 1)] = mean
    for (let k = 0; k < m; k++) out[row * (m + 1) + 1 + k] = logits[k]! - mean
  }
  return out
}
