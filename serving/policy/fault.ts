import type { Source } from '../../core/yaml-source.ts'
import type { PolicyFile } from './file.ts'

/** Something wrong in a policy file, and where. */
export interface PolicyFault {
  readonly line: number
  readonly field: string
  readonly expected: string
  readonly got: string
}

type Field = readonly (string | number)[]

/** What a section's check says its faults with. */
export interface FaultFinder {
  /** names a rule may lead to: routes, then models */
  readonly targets: readonly string[]
  fault(at: Field, expected: string, got: string): void
  /** a fault unless `got` is one of the names */
  oneOf(at: Field, names: readonly string[], got: string): void
  /** a fault for each that is no model of the file */
  models(at: Field, names: readonly string[] | undefined): void
  /** a fault for each name that was there before; `at` is the list's */
  unique(at: Field, names: readonly string[]): void
}

/** Says what is wrong with a section whose shape is right. */
export type SectionCheck = (file: PolicyFile, find: FaultFinder) => void

/** All that the checks find, in their order. */
export function findFaults(
  file: PolicyFile,
  source: Source,
  checks: readonly SectionCheck[],
): PolicyFault[] {
  const faults: PolicyFault[] = []
  const models = Object.keys(file.models)
  const find: FaultFinder = {
    targets: [...Object.keys(file.routes ?? {}), ...models],
    fault(at, expected, got) {
      faults.push({ line: source.lineOf(at), field: at.join('.'), expected, got })
    },
    oneOf(at, names, got) {
      if (names.includes(got)) return
      find.fault(at, `one of ${names.join(', ') || '(none is defined)'}`, got)
    },
    models(at, names = []) {
      for (const [i, name] of names.entries()) find.oneOf([...at, i], models, name)
    },
    unique(at, names) {
      for (const [i, name] of names.entries()) {
        if (names.indexOf(name) < i) find.fault([...at, i, 'name'], 'a name of its own', name)
      }
    },
  }
  for (const check of checks) check(file, find)
  return faults
}
