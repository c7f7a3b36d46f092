import { WeirError } from '../../core/errors.ts'
import type { Family } from './family.ts'

/** Every router family, by name; a new one is a file here, one in training/, and this row. */
export const FAMILIES: Readonly<Record<string, () => Promise<Family>>> = {
  mf: async () => (await import('./mf.ts')).mf,
  mlp: async () => (await import('./mlp.ts')).mlp,
  knn: async () => (await import('./knn.ts')).knn,
  sw: async () => (await import('./sw.ts')).sw,
  ensemble: async () => (await import('./ensemble.ts')).ensemble,
  kernel: async () => (await import('./kernel.ts')).kernel,
  classifier: async () => (await import('./classifier.ts')).classifier,
}

export function loadFamily(name: string): Promise<Family> {
  const load = Object.hasOwn(FAMILIES, name) ? FAMILIES[name] : undefined
  if (!load) throw new WeirError('family_unknown', { family: name, known: Object.keys(FAMILIES) })
  return load()
}
