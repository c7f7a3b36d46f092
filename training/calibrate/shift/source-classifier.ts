import { createRandom, deriveSeed } from '../../../core/random.ts'
import { concatenate, type Embeddings, takeRows } from '../../../models/encoders/embeddings.ts'
import { linearLogits } from '../../../models/families/linear-head.ts'
import { fitLogistic } from '../../solver/logistic.ts'

/** Log-odds that a row comes from the second sample, predicted by a classifier that was not fitted on that row. */
export interface SourceOdds {
  /** n rows of the first sample, m of the second; prior odds are even whatever their sizes */
  readonly first: Float64Array
  readonly second: Float64Array
  /** the fold that held each row out, first sample before second */
  readonly fold: Int32Array
}

const FOLDS = 5
/** L2 strengths to try, strongest first; the one with the lowest held-out log-loss is chosen. */
const STRENGTHS = [100, 30, 10, 3, 1]

/**
 * Separates two samples of embeddings by cross-fitted logistic regression: the probabilistic classifier
 * behind a density ratio and a classifier two-sample test (Lopez-Paz and Oquab 2017).
 */
export async function sourceOdds(
  first: Embeddings,
  second: Embeddings,
  seed: number,
  signal?: AbortSignal,
): Promise<SourceOdds> {
  const n = first.rows
  const m = second.rows
  const embeddings = concatenate([first, second])
  const labels = Float32Array.from({ length: n + m }, (_, i) => (i < n ? 0 : 1))
  const weights = labels.map((label) => (n + m) / 2 / (label === 1 ? m : n))
  const fold = Int32Array.from({ length: n + m }, (_, i) => i % FOLDS)
  createRandom(deriveSeed(seed, 'source folds')).shuffle(fold)
  let best: { logit: Float64Array; loss: number } | undefined
  for (const l2 of STRENGTHS) {
    signal?.throwIfAborted()
    const logit = await heldOut(embeddings, labels, weights, fold, l2)
    const loss = weightedLoss(logit, labels, weights)
    if (best && loss >= best.loss) break // weaker penalties only overfit more
    best = { logit, loss }
  }
  return { first: best!.logit.subarray(0, n), second: best!.logit.subarray(n), fold }
}

async function heldOut(
  embeddings: Embeddings,
  labels: Float32Array,
  weights: Float32Array,
  fold: Int32Array,
  l2: number,
): Promise<Float64Array> {
  const all = Int32Array.from(fold.keys())
  const logits = new Float64Array(all.length)
  const one = new Float64Array(1)
  for (let held = 0; held < FOLDS; held++) {
    const rows = all.filter((i) => fold[i] !== held)
    const { weights: coefficients, bias } = await fitLogistic({
      embeddings,
      rows,
      labels: Float32Array.from(rows, (i) => labels[i]!),
      weights: Float32Array.from(rows, (i) => weights[i]!),
      l2,
      maxIterations: 100,
      tolerance: 1e-3,
    })
    const test = all.filter((i) => fold[i] === held)
    const part = takeRows(embeddings, test)
    const head = {
      link: 'pair',
      outputs: 1,
      dimension: embeddings.dimension,
      weights: coefficients,
      bias: Float32Array.of(bias),
      strong: 0,
      weak: 0,
    } as const
    test.forEach((row, at) => {
      linearLogits(head, part, at, one)
      logits[row] = one[0]!
    })
  }
  return logits
}

function weightedLoss(logit: Float64Array, labels: Float32Array, weights: Float32Array): number {
  let loss = 0
  for (let i = 0; i < logit.length; i++) {
    const z = labels[i] === 1 ? -logit[i]! : logit[i]!
    loss += weights[i]! * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))))
  }
  return loss
}
