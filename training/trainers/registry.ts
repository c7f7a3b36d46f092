import { WeirError } from '../../core/errors.ts'
import type { Trainer } from './trainer.ts'

type TrainerLoader = () => Promise<Trainer>

const trainers: Record<string, TrainerLoader> = {
  classifier: async () => (await import('./heads/classifier.ts')).classifierTrainer,
  ensemble: async () => (await import('./ensemble/ensemble.ts')).ensembleTrainer,
  knn: async () => (await import('./neighbours/knn.ts')).knnTrainer,
  sw: async () => (await import('./neighbours/sw.ts')).swTrainer,
  mf: async () => (await import('./heads/mf.ts')).mfTrainer,
  kernel: async () => (await import('./kernel/kernel.ts')).kernelTrainer,
  mlp: async () => (await import('./heads/mlp.ts')).mlpTrainer,
}

/**
 * The trainer of each family, loaded when first used. A new family needs a row here and one in
 * models/families/registry.ts.
 */
export const TRAINERS: Readonly<Record<string, TrainerLoader>> = trainers

/**
 * Adds the trainer of a family that `registerFamily` added under the same name. Call it before that family is
 * trained.
 *
 * @throws option_invalid if the name is taken
 */
export function registerTrainer(family: string, load: TrainerLoader): void {
  if (Object.hasOwn(trainers, family)) {
    throw new WeirError('option_invalid', { option: 'family', expected: 'a new name', got: family })
  }
  trainers[family] = load
}

/** @throws family_unknown, with the names of the known families */
export function loadTrainer(family: string): Promise<Trainer> {
  const load = Object.hasOwn(TRAINERS, family) ? TRAINERS[family] : undefined
  if (!load) throw new WeirError('family_unknown', { family, known: Object.keys(TRAINERS) })
  return load()
}
