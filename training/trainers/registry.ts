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

/** How each family is fitted; a new one is a file in trainers/, one in models/families/, and a row in both tables. */
export const TRAINERS: Readonly<Record<string, TrainerLoader>> = trainers

/**
 * Adds the trainer of a family that `registerFamily` added under the same name.
 *
 * @throws option_invalid where the name is taken
 */
export function registerTrainer(family: string, load: TrainerLoader): void {
  if (Object.hasOwn(trainers, family)) {
    throw new WeirError('option_invalid', { option: 'family', expected: 'a new name', got: family })
  }
  trainers[family] = load
}

export function loadTrainer(family: string): Promise<Trainer> {
  const load = Object.hasOwn(TRAINERS, family) ? TRAINERS[family] : undefined
  if (!load) throw new WeirError('family_unknown', { family, known: Object.keys(TRAINERS) })
  return load()
}
