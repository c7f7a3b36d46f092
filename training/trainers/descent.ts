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

/** How the training engine is asked for one fit, with all that watches it. */
export function descentOptions(
  input: TrainerInput<DescentSettings>,
  family: Family,
  rows: number,
): FitOptions {
  const { hyperparameters: settings, seed, threads, checkpoint, signal, onProgress } = input
  return {
    epochs: settings.epochs,
    batchSize: Math.min(settings.batch_size, rows),
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
