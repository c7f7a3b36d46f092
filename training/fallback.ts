import type { OnProgress } from '../core/progress.ts'
import { type Dataset, SPLITS } from '../data/dataset/dataset.ts'
import type { PairLabels } from '../data/pair.ts'
import { encodeHead, FALLBACK_HEAD_FILE } from '../models/bundle/head-file.ts'
import type { Manifest } from '../models/bundle/manifest.ts'
import { type Encoder, type EncoderSpec, partsOf } from '../models/encoders/encoder.ts'
import { type LinearHead, linearLogits } from '../models/families/linear-head.ts'
import { fitWords, type ReadDataset } from './fit-router.ts'
import { fitLogistic, type LogisticFit } from './solver/logistic.ts'

export interface FallbackInput {
  readonly labels: PairLabels
  /** the router's win rates on the validation prompts; the fallback is scaled to match them */
  readonly winRate: Float64Array
  /** index into the dataset's prompts, one per win rate */
  readonly validation: Int32Array
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

export interface Fallback {
  readonly manifest: NonNullable<Manifest['fallback']>
  readonly files: ReadonlyMap<string, Uint8Array>
}

/** Encoders that answer in microseconds, on the calling thread. */
const QUICK_KINDS = new Set(['lexical', 'use-lite-static'])
/** What they read of a prompt beside or before another encoder takes microseconds. */
const READ_BEFORE = new Set(['context', 'familiar'])
/** L2 penalties, strongest first; the one with the least log-loss on validation is taken. */
const PENALTIES = [30, 8, 2]
const ITERATIONS = 200

/** Whether this encoder may take longer than a decision's deadline allows. */
export function needsFallback(spec: EncoderSpec): boolean {
  const [inner] = READ_BEFORE.has(spec.kind) ? partsOf(spec) : []
  return inner ? needsFallback(inner) : !QUICK_KINDS.has(spec.kind)
}

/**
 * A head over `lexical` that decides when the router's encoder is late or fails: a logistic regression on the
 * pair's labels of the same train rows. Its logits are then scaled to the mean and spread of the router's
 * logits on validation, so that the router's threshold sends about as many prompts to the strong model.
 */
export async function fitFallback(dataset: ReadDataset, input: FallbackInput): Promise<Fallback> {
  const { labels, signal, onProgress } = input
  const watch = { signal, onProgress }
  const { encoder, files } = await fitWords(dataset, 'sparse', { seed: 1, ...watch })
  const train = await labelled(dataset, encoder, labels, 'train', signal)
  const held = await labelled(dataset, encoder, labels, 'validation', signal)
  let best: { fit: LogisticFit; loss: number } | undefined
  for (const [step, l2] of PENALTIES.entries()) {
    onProgress?.({ stage: 'fitting the fallback head', done: step, total: PENALTIES.length })
    const fit = await fitLogistic({
      ...train,
      l2,
      maxIterations: ITERATIONS,
      tolerance: 1e-5,
      ...(best ? { init: best.fit } : {}),
      signal,
    })
    const loss = meanLogLoss(logitsOf(pairHead(fit), held.embeddings), held.labels)
    if (best && !(loss < best.loss)) break // weaker penalties only overfit more
    best = { fit, loss }
  }
  const texts = Array.from(input.validation, (prompt) => dataset.prompts[prompt]!)
  const { embeddings } = await encoder.encode(texts, signal)
  const fitted = pairHead(best!.fit)
  const wanted = moments(Float64Array.from(input.winRate, logit))
  const head = rescaled(fitted, moments(logitsOf(fitted, embeddings)), wanted)
  const { link, outputs, dimension } = head
  return {
    manifest: { encoder: encoder.spec, head: { link, outputs, dimension } },
    files: new Map([...files, [FALLBACK_HEAD_FILE, encodeHead(head)]]),
  }
}

async function labelled(
  dataset: Dataset,
  encoder: Encoder,
  labels: PairLabels,
  split: (typeof SPLITS)[number],
  signal: AbortSignal | undefined,
) {
  const wanted = SPLITS.indexOf(split)
  const kept = [...labels.prompt.keys()].filter((i) => dataset.split[labels.prompt[i]!] === wanted)
  const texts = kept.map((i) => dataset.prompts[labels.prompt[i]!]!)
  const { embeddings } = await encoder.encode(texts, signal)
  return {
    embeddings,
    rows: Int32Array.from(kept.keys()),
    labels: Float32Array.from(kept, (i) => labels.label[i]!),
    weights: new Float32Array(kept.length).fill(1),
  }
}

const pairHead = ({ weights, bias }: Pick<LogisticFit, 'weights' | 'bias'>): LinearHead => ({
  link: 'pair',
  outputs: 1,
  dimension: weights.length,
  weights,
  bias: Float32Array.of(bias),
  strong: 0,
  weak: 1,
})

function logitsOf(head: LinearHead, embeddings: Parameters<typeof linearLogits>[1]): Float64Array {
  const out = new Float64Array(embeddings.rows)
  const one = new Float64Array(1)
  for (let row = 0; row < out.length; row++) {
    linearLogits(head, embeddings, row, one)
    out[row] = one[0]!
  }
  return out
}

interface Moments {
  readonly mean: number
  readonly deviation: number
}

function moments(values: Float64Array): Moments {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length
  return { mean, deviation: Math.sqrt(variance) }
}

/** The head with its logits shifted and scaled from the moments `from` to the moments `to`. */
function rescaled(head: LinearHead, from: Moments, to: Moments): LinearHead {
  const scale = from.deviation > 1e-9 ? to.deviation / from.deviation : 0
  return {
    ...head,
    weights: head.weights.map((weight) => weight * scale),
    bias: Float32Array.of(to.mean + scale * (head.bias[0]! - from.mean)),
  }
}

/** A win rate of exactly 0 or 1 has no finite logit: win rates are clipped this far from both. */
const EDGE = 1e-4
function logit(winRate: number): number {
  const p = Math.min(1 - EDGE, Math.max(EDGE, winRate))
  return Math.log(p / (1 - p))
}

/** log(1 + e^z) - y z, computed without overflow or loss of digits. */
function meanLogLoss(logits: Float64Array, labels: Float32Array): number {
  let sum = 0
  logits.forEach((z, i) => {
    sum += Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - labels[i]! * z
  })
  return sum / logits.length
}
