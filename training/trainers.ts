import { WeirError } from '../models/errors.ts'
import type { Trainer } from './trainer.ts'

/** How each family is fitted; a new one is a file in trainers/, one in models/families/, and a row in both tables. */
export const TRAINERS: Readonly<Record<string, () => Promise<Trainer>>> = {
  classifier: async () => (await import('./trainers/classifier.ts')).classifierTrainer,
  ensemble: async () => (await import('./trainers/ensemble.ts')).ensembleTrainer,
  knn: async () => (await import('./trainers/knn.ts')).knnTrainer,
  sw: async () => (await import('./trainers/sw.ts')).swTrainer,
  mf: async () => (await import('./trainers/mf.ts')).mfTrainer,
  kernel: async () => (await import('./trainers/kernel.ts')).kernelTrainer,
  mlp: async () => (await import('./trainers/mlp.ts')).mlpTrainer,
}

export function loadTrainer(family: string): Promise<Trainer> {
  const load = Object.hasOwn(TRAINERS, family) ? TRAINERS[family] : undefined
  if (!load) throw new WeirError('family_unknown', { family, known: Object.keys(TRAINERS) })
  return load()
}
