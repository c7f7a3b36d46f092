import { WeirError } from '../../core/errors.ts'
import type { Trainer } from './trainer.ts'

/** How each family is fitted; a new one is a file in trainers/, one in models/families/, and a row in both tables. */
export const TRAINERS: Readonly<Record<string, () => Promise<Trainer>>> = {
  classifier: async () => (await import('./heads/classifier.ts')).classifierTrainer,
  ensemble: async () => (await import('./ensemble/ensemble.ts')).ensembleTrainer,
  knn: async () => (await import('./neighbours/knn.ts')).knnTrainer,
  sw: async () => (await import('./neighbours/sw.ts')).swTrainer,
  mf: async () => (await import('./heads/mf.ts')).mfTrainer,
  kernel: async () => (await import('./kernel/kernel.ts')).kernelTrainer,
  mlp: async () => (await import('./heads/mlp.ts')).mlpTrainer,
}

export function loadTrainer(family: string): Promise<Trainer> {
  const load = Object.hasOwn(TRAINERS, family) ? TRAINERS[family] : undefined
  if (!load) throw new WeirError('family_unknown', { family, known: Object.keys(TRAINERS) })
  return load()
}
