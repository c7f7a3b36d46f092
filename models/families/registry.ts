import { WeirError } from '../../core/errors.ts'
import type { Family } from './family.ts'

type LoadFamily = () => Promise<Family>

/**
 * Every router family by name. A new family is a file here, a trainer in training/, and a row in this table.
 */
const FAMILIES = new Map<string, LoadFamily>(
  Object.entries({
    classifier: async () => (await import('./classifier.ts')).classifier,
    mf: async () => (await import('./mf.ts')).mf,
    mlp: async () => (await import('./mlp.ts')).mlp,
    knn: async () => (await import('./knn.ts')).knn,
    sw: async () => (await import('./sw.ts')).sw,
    ensemble: async () => (await import('./ensemble.ts')).ensemble,
    kernel: async () => (await import('./kernel.ts')).kernel,
    imported: async () => (await import('./imported.ts')).imported,
  }),
)

/** The registered families, in order of registration. */
export const familyNames = (): string[] => [...FAMILIES.keys()]

/**
 * Adds a family. Call it before a router of that family is trained. Its trainer is registered in training/. A
 * server needs neither, because a bundle holds its head as a graph.
 *
 * @throws option_invalid if the name is taken
 */
export function registerFamily(name: string, load: LoadFamily): void {
  if (FAMILIES.has(name)) {
    throw new WeirError('option_invalid', { option: 'family', expected: 'a new name', got: name })
  }
  FAMILIES.set(name, load)
}

/** @throws family_unknown */
export function loadFamily(name: string): Promise<Family> {
  const load = FAMILIES.get(name)
  if (!load) throw new WeirError('family_unknown', { family: name, known: familyNames() })
  return load()
}
