import Type, { type TObject } from 'typebox'
import { Compile } from 'typebox/compile'
import { compilePattern } from '../../core/pattern.ts'
import { firstFault } from '../../core/schema-fault.ts'
import type { Strategy } from '../gateway/contracts.ts'
import type { ModelAsker } from './ask-model.ts'

export const closed = { additionalProperties: false } as const
export const ModelName = Type.String({ minLength: 1, maxLength: 200 })
export const Milliseconds = Type.Number({ minimum: 1, maximum: 2_147_483_647 })
export const Samples = Type.Integer({ minimum: 1, maximum: 32 })
export const Temperature = Type.Number({ minimum: 0, maximum: 2 })

/** A route's `strategy`. Its kind determines its other fields: `findSettingsFaults` checks them. */
export const StrategySettings = Type.Unsafe<StrategySettings>(Type.Object({ kind: Type.String() }))
export type StrategySettings = { readonly kind: string; readonly [setting: string]: unknown }

/** The path of a field in the settings. */
export type Field = readonly (string | number)[]

/** Called for each fault, and for each model that is named. */
export interface SettingsFinder {
  fault(at: Field, expected: string, got: string): void
  model(at: Field, name: string): void
}

/** One strategy that a route may name: an entry of the registry. */
export interface StrategyKind {
  readonly kind: string
  /** Reports faults in a route's settings of this kind, field by field. */
  check(settings: StrategySettings, find: SettingsFinder): void
  /** @param asker asks models the strategy's questions; shared by all strategies of a server */
  create(asker: ModelAsker): Strategy
}

const compiled = new Map<TObject, ReturnType<typeof Compile>>()

/** Whether a value fits a schema; the first error is reported as a fault. */
export function fits(schema: TObject, value: unknown, at: Field, find: SettingsFinder): boolean {
  const known = compiled.get(schema) ?? Compile(schema)
  compiled.set(schema, known)
  if (known.Check(value)) return true
  schemaFault(known.Errors(value), value, at, find)
  return false
}

/** The first of a schema's errors as a fault. */
export function schemaFault(
  errors: Parameters<typeof firstFault>[0],
  value: unknown,
  at: Field,
  find: SettingsFinder,
): void {
  const { field, expected, got } = firstFault(errors, value)
  find.fault([...at, ...field.split('.').filter((part) => part !== '')], expected, got)
}

export function patternFault(at: Field, pattern: string | undefined, find: SettingsFinder): void {
  if (pattern === undefined) return
  try {
    compilePattern(pattern)
  } catch (error) {
    const expected = 'an RE2 pattern (no look-around, no back-references)'
    find.fault(at, expected, (error as Error).message)
  }
}

/**
 * Caches a value per settings object and drops it with them: patterns and schemas are compiled once per
 * policy.
 */
export function perSettings<Settings extends object, Made>(
  make: (settings: Settings) => Made,
): (settings: Settings) => Made {
  const made = new WeakMap<Settings, { readonly made: Made }>()
  return (settings) => {
    const known = made.get(settings) ?? { made: make(settings) }
    made.set(settings, known)
    return known.made
  }
}
