import type { Explanation } from './decision.ts'
import type { Embeddings } from './embeddings.ts'
import { type LinearHead, linearLogits, sigmoid } from './linear-head.ts'

/** How many features an explanation names unless told otherwise. */
const TOP = 10

/**
 * What each feature of one prompt added, the largest first. For `pair` and `bradley-terry` in log-odds
 * of the win rate. For `success` in the difference of success rates: each head's sigmoid shared out
 * over its features in proportion to their logits, which is integrated gradients (Sundararajan et al.
 * 2017) from an empty prompt, so that all of them add up to the difference from an empty prompt.
 */
export function explainLinear(
  head: LinearHead,
  embeddings: Embeddings,
  names: ReadonlyMap<number, string> | undefined,
  top: number = TOP,
): Explanation {
  const slope = logitSlopes(head, embeddings)
  const features: { name: string; contribution: number }[] = []
  eachValue(embeddings, (index, value) => {
    let contribution = 0
    for (let k = 0; k < head.outputs; k++) {
      if (slope[k] !== 0)
        contribution += slope[k]! * value * head.weights[index * head.outputs + k]!
    }
    if (contribution !== 0) {
      features.push({ name: names?.get(index) ?? `dimension ${index}`, contribution })
    }
  })
  features.sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution))
  return { features: features.slice(0, top) }
}

/** What one unit of each logit adds to what is explained. */
function logitSlopes(head: LinearHead, embeddings: Embeddings): Float64Array {
  const slope = new Float64Array(head.outputs)
  if (head.link === 'pair') {
    slope[0] = 1
    return slope
  }
  if (head.link === 'bradley-terry') {
    slope[head.strong] = 1
    slope[head.weak] = -1
    return slope
  }
  const logits = new Float64Array(head.outputs)
  linearLogits(head, embeddings, 0, logits)
  slope[head.strong] = meanSlope(head.bias[head.strong]!, logits[head.strong]!)
  slope[head.weak] = -meanSlope(head.bias[head.weak]!, logits[head.weak]!)
  return slope
}

/** Mean of the sigmoid's derivative from one logit to another. */
function meanSlope(from: number, to: number): number {
  if (Math.abs(to - from) < 1e-6) return sigmoid(from) * (1 - sigmoid(from))
  return (sigmoid(to) - sigmoid(from)) / (to - from)
}

/** Calls back for each value of the first row that is not 0. */
function eachValue(embeddings: Embeddings, visit: (index: number, value: number) => void): void {
  if (embeddings.kind === 'dense') {
    for (let i = 0; i < embeddings.dimension; i++) visit(i, embeddings.values[i]!)
    return
  }
  for (let j = embeddings.offsets[0]!; j < embeddings.offsets[1]!; j++) {
    visit(embeddings.ids[j]!, embeddings.weights[j]!)
  }
}
