import { WeirError } from './errors.ts'
import type { Family } from './family.ts'

/** Every router family, by name; a new one is a file here, one in training/, and this row. */
export const FAMILIES: Readonly<Record<string, () => Promise<Family>>> = {
  mf: async () => (await import('./families/mf.ts')).mf,
  mlp: async () => (await import('./families/mlp.ts')).mlp,
  knn: async () => (await import('./families/knn.ts')).knn,
  sw: async () => (await import('./families/sw.ts')).sw,
  ensemble: async () => (await import('./families/ensemble.ts')).ensemble,
  kernel: async () => (await import('./families/kernel.ts')).kernel,
  classifier: async () => (await import('./families/classifier.ts')).classifier,
}

export function loadFamily(name: string): Promise<Family> {
  const load = Object.hasOwn(FAMILIES, name) ? FAMILIES[name] : undefined
  if (!load) throw new WeirError('family_unknown', { family: name, known: Object.keys(FAMILIES) })
  return load()
}
