import { deriveSeed } from '../../../core/random.ts'
import { type DenseEmbeddings, takeRows } from '../../../models/encoders/embeddings.ts'
import type { Family, HeadWeights } from '../../../models/families/family.ts'
import { scoreLinear } from '../../../models/families/linear-head.ts'
import type { FitOptions, FitResult, FitRows } from '../../engine/engine.ts'
import { apgr, costQualityCurve, wholeGain } from '../../evaluate/metrics/curve.ts'
import { sortScores } from '../../evaluate/metrics/score-order.ts'
import { pairRows } from '../pair-rows.ts'
import type { TrainerInput, TrainerResult, TrainingRows } from '../trainer.ts'

/** Settings of every family trained by gradient steps. */
type DescentSettings = Readonly<{
  epochs: number
  batch_size: number
  learning_rate: number
  patience: number
}>

/**
 * Number of multiply-adds of a batch's largest product below which a second thread only waits: at 64 x 256 x
 * 128, two threads took three times the CPU time of one, and three times as long.
 */
const WORTH_A_THREAD = 8e6

/**
 * The options of the training engine for one fit, including progress and checkpoints.
 *
 * @param width columns that the embeddings are projected to
 */
export function descentOptions(
  input: TrainerInput<DescentSettings>,
  family: Family,
  { rows, width }: { readonly rows: number; readonly width: number },
): FitOptions {
  const { hyperparameters: settings, seed, checkpoint, signal, onProgress } = input
  const batchSize = Math.min(settings.batch_size, rows)
  const work = batchSize * input.train.embeddings.dimension * width
  const threads = work < WORTH_A_THREAD ? 1 : input.threads
  return {
    epochs: settings.epochs,
    batchSize,
    learningRate: settings.learning_rate,
    patience: settings.patience,
    seed: deriveSeed(seed, `${family.name}-shuffle`),
    threads,
    validationApgr: validationApgr(family, input),
    checkpoint,
    signal,
    onProgress,
  }
}

export function descentResult(
  input: TrainerInput<DescentSettings>,
  result: FitResult,
  tensors: HeadWeights['tensors'] = result.parameters,
): TrainerResult {
  return {
    weights: { models: input.models, tensors },
    hyperparameters: input.hyperparameters,
    curve: result.epochs,
    backend: result.backend,
    stopped: result.stopped,
    ...(result.resumedAfter > 0 ? { resumedAfter: result.resumedAfter } : {}),
  }
}

/** A split's embeddings; families trained by gradient steps read dense ones. */
export function denseRows({ embeddings }: TrainingRows): DenseEmbeddings {
  if (embeddings.kind !== 'dense') throw new TypeError('expected dense embeddings')
  return embeddings
}

/** The `embedding` lookup of a batch: for each row of a fit, the embedding at its index. */
export const embeddingLookup = (
  { rows, dimension, values }: DenseEmbeddings,
  index: Int32Array,
): FitRows['lookups'][string] => ({ table: { shape: [rows, dimension], values }, index })

/** Maximum number of rows that are scored after every epoch. */
const WATCHED = 1_000

/**
 * APGR of a head on validation, to watch while it trains; no decision depends on it. Undefined if the strong
 * model is not the better one on these rows.
 */
function validationApgr(
  family: Family,
  input: Pick<TrainerInput, 'validation' | 'models' | 'strong' | 'weak'>,
): (tensors: HeadWeights['tensors']) => number | undefined {
  const { rows, y } = pairRows(input.validation, input)
  const embeddings = takeRows(input.validation.embeddings, rows.subarray(0, WATCHED))
  const gain = y.subarray(0, WATCHED).map((value) => 2 * value - 1)
  return (tensors) => {
    const weights = { models: input.models, tensors }
    const folded = family.fold?.(weights, input)
    const { winRate } = folded
      ? scoreLinear(folded, embeddings)
      : family.forward(weights, input, embeddings)
    const curve = costQualityCurve(sortScores(winRate), gain)
    return wholeGain(curve) > 0 ? apgr(curve) : undefined
  }
}
