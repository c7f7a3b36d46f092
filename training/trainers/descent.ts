import type { Family, HeadWeights } from '../../models/family.ts'
import { deriveSeed } from '../../models/random.ts'
import type { FitOptions, FitResult } from '../engine/engine.ts'
import type { TrainerInput, TrainerResult } from '../trainer.ts'
import { validationApgr } from './validation-apgr.ts'

/** Settings of every family trained by gradient steps. */
type DescentSettings = Readonly<{
  epochs: number
  batch_size: number
  learning_rate: number
  patience: number
}>

/**
 * Multiply-adds of a batch's largest product below which a second thread only waits: measured at 64 x 256 x 128,
 * two threads took three times the CPU of one and as much more time.
 */
const WORTH_A_THREAD = 8e6

/**
 * How the training engine is asked for one fit, with all that watches it.
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
    ...(checkpoint ? { checkpoint } : {}),
    ...(signal ? { signal } : {}),
    ...(onProgress ? { onProgress } : {}),
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
