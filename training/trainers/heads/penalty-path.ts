import type { Embeddings } from '../../../models/encoders/embeddings.ts'
import { type LinearHead, linearLogits, sigmoid } from '../../../models/families/linear-head.ts'
import { fitLogistic, type LogisticFit } from '../../solver/logistic.ts'
import type { Part, Target } from './targets.ts'

export interface PathSettings {
  readonly l2_min: number
  readonly l2_max: number
  readonly l2_steps: number
  readonly iterations: number
}

export interface PathRecord {
  readonly trainLoss: number
  readonly validationLoss: number
  readonly seconds: number
}

export interface PathInput {
  readonly embeddings: Embeddings
  readonly settings: PathSettings
  readonly signal?: AbortSignal | undefined
}

/** Starts with the strongest penalty and ends where the validation loss starts to rise. */
export async function penaltyPath(
  input: PathInput,
  parts: readonly Part[],
  onStep: (record: PathRecord, step: number, steps: number) => void,
): Promise<{ fit: LogisticFit; l2: number }> {
  const strengths = penalties(input.settings)
  if (parts.length === 0) {
    // a model that was never scored: its head says 1/2
    const none = {
      rows: new Int32Array(0),
      labels: new Float32Array(0),
      weights: new Float32Array(0),
    }
    return { fit: await solveHead(input, none, strengths[0]!), l2: strengths[0]! }
  }
  let best: { fits: LogisticFit[]; loss: number; l2: number } | undefined
  for (const [step, l2] of strengths.entries()) {
    const started = performance.now()
    const fits: LogisticFit[] = []
    let trainLoss = 0
    let loss = 0
    for (const [k, { fit: target, judge }] of parts.entries()) {
      // the solution for the neighbouring strength is a good starting point
      const fit = await solveHead(input, target, l2, best?.fits[k])
      fits.push(fit)
      trainLoss += meanLogLoss(fit, input.embeddings, target) / parts.length
      loss += meanLogLoss(fit, input.embeddings, judge) / parts.length
    }
    const seconds = (performance.now() - started) / 1000
    onStep({ trainLoss, validationLoss: loss, seconds }, step, strengths.length)
    if (best && !(loss < best.loss)) break // weaker penalties only overfit more
    best = { fits, loss, l2 }
  }
  return { fit: best!.fits[0]!, l2: best!.l2 }
}

/** One head at one penalty, started from a neighbouring solution if there is one. */
export async function solveHead(
  { embeddings, settings, signal }: PathInput,
  target: Target,
  l2: number,
  init?: LogisticFit,
): Promise<LogisticFit> {
  signal?.throwIfAborted()
  return fitLogistic({
    embeddings,
    ...target,
    l2,
    maxIterations: settings.iterations,
    tolerance: 1e-5,
    ...(init ? { init: { weights: init.weights, bias: init.bias } } : {}),
    signal,
  })
}

export function penalties({ l2_min: low, l2_max: high, l2_steps: steps }: PathSettings): number[] {
  if (steps <= 1) return [high]
  return Array.from({ length: steps }, (_, i) => high * (low / high) ** (i / (steps - 1)))
}

/** NaN for a target without rows. */
export function meanLogLoss(
  fit: LogisticFit,
  embeddings: Embeddings,
  { rows, labels, weights }: Target,
): number {
  const head = headOf(fit, embeddings.dimension)
  const logit = new Float64Array(1)
  let loss = 0
  let total = 0
  for (let i = 0; i < rows.length; i++) {
    linearLogits(head, embeddings, rows[i]!, logit)
    const p = Math.min(Math.max(sigmoid(logit[0]!), 1e-12), 1 - 1e-12)
    const y = labels[i]!
    loss -= weights[i]! * (y * Math.log(p) + (1 - y) * Math.log(1 - p))
    total += weights[i]!
  }
  return total > 0 ? loss / total : Number.NaN
}

/** The fit as a head of its own, to compute its logits. */
export const headOf = ({ weights, bias }: LogisticFit, dimension: number): LinearHead => ({
  ...{ link: 'pair', outputs: 1, dimension, weights },
  bias: Float32Array.of(bias),
  ...{ strong: 0, weak: 0 },
})
