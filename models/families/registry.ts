import { WeirError } from '../../core/errors.ts'
import type { Family } from './family.ts'

type LoadFamily = () => Promise<Family>

/** Every router family, by name; a new one is a file here, one in training/, and this row. */
const FAMILIES = new Map<string, LoadFamily>(
  Object.entries({
    mf: async () => (await import('./mf.ts')).mf,
    mlp: async () => (await import('./mlp.ts')).mlp,
    knn: async () => (await import('./knn.ts')).knn,
    sw: async () => (await import('./sw.ts')).sw,
    ensemble: async () => (await import('./ensemble.ts')).ensemble,
    kernel: async () => (await import('./kernel.ts')).kernel,
    classifier: async () => (await import('./classifier.ts')).classifier,
  }),
)

/** The registered families, in the order of their registration. */
export const familyNames = (): string[] => [...FAMILIES.keys()]

/**
 * Adds a family, before a router of it is trained. Its trainer is a row of the registry in training/.
 * A server needs neither: a bundle holds its head as a graph.
 *
 * @throws option_invalid where the name is taken
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
