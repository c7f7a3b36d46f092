import type { TObject } from 'typebox'
import { Compile } from 'typebox/compile'
import { Compile as CompileSchema, Meta } from 'typebox/schema'
import { firstFault } from '../../models/schema-fault.ts'
import { compilePattern } from '../policy/pattern.ts'
import {
  CascadeSettings,
  CHECKS,
  type CheckKind,
  type CheckSettings,
  ENSEMBLES,
  type EnsembleMode,
  type StrategySettings,
} from './settings.ts'

type Field = readonly (string | number)[]

/** Told of each thing that is wrong, and of each model that is named. */
export interface SettingsFinder {
  fault(at: Field, expected: string, got: string): void
  model(at: Field, name: string): void
}

const compiled = new Map<TObject, ReturnType<typeof Compile>>()

/** Says what is wrong with a strategy's settings, field by field. */
export function findSettingsFaults(settings: StrategySettings, find: SettingsFinder): void {
  const { kind } = settings
  if (kind === 'cascade') {
    if (fits(CascadeSettings, settings, [], find)) checkListFaults(settings.checks, find)
    return
  }
  const modes = Object.keys(ENSEMBLES) as EnsembleMode[]
  if (!modes.includes(settings.mode)) {
    find.fault(['mode'], `one of ${modes.join(', ')}`, String(settings.mode ?? 'nothing'))
    return
  }
  if (!fits(ENSEMBLES[settings.mode], settings, [], find)) return
  if (settings.mode === 'majority') patternFault(['pattern'], settings.pattern, find)
  if (settings.mode === 'best_of') find.model(['judge', 'model'], settings.judge.model)
  if (settings.mode === 'first_good') checkListFaults(settings.checks, find)
}

function checkListFaults(checks: readonly CheckSettings[], find: SettingsFinder): void {
  const kinds = Object.keys(CHECKS) as CheckKind[]
  const names = checks.map(({ name, kind }) => name ?? kind)
  for (const [i, check] of checks.entries()) {
    const at = ['checks', i]
    if (!kinds.includes(check.kind)) {
      find.fault([...at, 'kind'], `one of ${kinds.join(', ')}`, check.kind)
      continue
    }
    if (!fits(CHECKS[check.kind], check, at, find)) continue
    // headers, logs and calibration tell checks apart by their names
    const name = names[i]!
    if (names.indexOf(name) < i) find.fault([...at, 'name'], 'a name of its own', name)
    for (const [j, model] of (check.models ?? []).entries()) find.model([...at, 'models', j], model)
    checkFaults(check, at, find)
  }
}

function checkFaults(check: CheckSettings, at: Field, find: SettingsFinder): void {
  switch (check.kind) {
    case 'regex':
    case 'self_consistency':
      patternFault([...at, 'pattern'], check.pattern, find)
      break
    case 'json_schema':
      schemaFaults(check.schema, [...at, 'schema'], find)
      break
    case 'judge':
      find.model([...at, 'judge', 'model'], check.judge.model)
      break
    case 'length':
      if (check.min === undefined && check.max === undefined) {
        find.fault(at, 'min, max or both', 'neither')
      }
      break
  }
}

function fits(schema: TObject, value: unknown, at: Field, find: SettingsFinder): boolean {
  const known = compiled.get(schema) ?? Compile(schema)
  compiled.set(schema, known)
  if (known.Check(value)) return true
  const { field, expected, got } = firstFault(known.Errors(value), value)
  find.fault([...at, ...field.split('.').filter((part) => part !== '')], expected, got)
  return false
}

function patternFault(at: Field, pattern: string | undefined, find: SettingsFinder): void {
  if (pattern === undefined) return
  try {
    compilePattern(pattern)
  } catch (error) {
    const expected = 'an RE2 pattern (no look-around, no back-references)'
    find.fault(at, expected, (error as Error).message)
  }
}

const DRAFT_7 = 'http://json-schema.org/draft-07/schema#'
/** Their patterns are JavaScript's, whose time is not linear. */
const SLOW = ['pattern', 'patternProperties']

function schemaFaults(schema: object, at: Field, find: SettingsFinder): void {
  const meta = CompileSchema(Meta[DRAFT_7])
  const [fine, errors] = meta.Errors(schema)
  if (!fine) {
    const { field, expected, got } = firstFault(errors, schema)
    find.fault([...at, ...field.split('.').filter((part) => part !== '')], expected, got)
  }
  const slow = SLOW.find((keyword) => hasKey(schema, keyword))
  if (slow) find.fault(at, 'no patterns (a regex check searches in linear time)', slow)
}

/** A property of that name counts as well: rather one schema too many refused. */
const hasKey = (value: unknown, key: string): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (Object.hasOwn(value, key) || Object.values(value).some((its) => hasKey(its, key)))
