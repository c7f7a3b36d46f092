import { WeirError } from '../../core/errors.ts'
import { compilePattern } from '../../core/pattern.ts'
import { firstFault } from '../../core/schema-fault.ts'
import { parseSource, type Source } from '../../core/yaml-source.ts'
import { findSettingsFaults } from '../strategies/strategies.ts'
import { LANGUAGES } from './condition.ts'
import type { PolicyFile } from './file.ts'
import type { RouterPair } from './learned-router.ts'
import {
  POLICY_STEPS,
  type PolicyAtWork,
  type PolicySteps,
  spendingRoutes,
  usedRows,
} from './registry.ts'
import type { FaultFinder } from './step.ts'

/** A policy file that is valid, with the steps that it was checked for. */
export interface CheckedPolicy extends PolicyAtWork {
  readonly source: Source
}

/** A fault in a policy file, and its place. */
export interface PolicyFault {
  readonly line: number
  readonly field: string
  readonly expected: string
  readonly got: string
}

/** All faults of a policy file; empty if it may be served. */
export function policyFaults(source: Source, steps: PolicySteps = POLICY_STEPS): PolicyFault[] {
  const { value } = source
  if (steps.shape.Check(value)) return findFaults(value as PolicyFile, source, steps)
  const { field, expected, got } = firstFault(steps.shape.Errors(value), value)
  return [{ line: source.lineOf(field.split('.')), field: field || 'the file', expected, got }]
}

/** @throws config_invalid with file, line, field: the first of the faults */
export function checkPolicy(
  text: string,
  path: string,
  steps: PolicySteps = POLICY_STEPS,
): CheckedPolicy {
  const source = parseSource(text, path, 'a policy')
  const fault = policyFaults(source, steps)[0]
  if (fault) throw faultError(fault, path)
  return { file: source.value as PolicyFile, source, steps }
}

export function faultError({ line, field, expected, got }: PolicyFault, path: string): WeirError {
  return new WeirError('config_invalid', { where: `${path}:${line}: ${field}`, expected, got })
}

/** All faults that the sections' checks find, in order. */
function findFaults(file: PolicyFile, source: Source, steps: PolicySteps): PolicyFault[] {
  const faults: PolicyFault[] = []
  const models = Object.keys(file.models)
  const used = usedRows({ file, steps })
  const find: FaultFinder = {
    targets: [...Object.keys(file.routes ?? {}), ...models],
    near: used.flatMap(({ row, section }) => row.reads?.(section).near ?? []),
    spendingRoutes: spendingRoutes({ file, steps }),
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
    unique(at, list) {
      for (const [i, { name }] of list.entries()) {
        if (list.findIndex((other) => other.name === name) < i) {
          find.fault([...at, i, 'name'], 'a name of its own', name)
        }
      }
    },
    patterns(at, patterns = []) {
      for (const [i, text] of patterns.entries()) {
        try {
          compilePattern(text)
        } catch (error) {
          const expected = 'an RE2 pattern (no look-around, no back-references)'
          find.fault([...at, i], expected, (error as Error).message)
        }
      }
    },
    condition(at, { regex, language = [], characters }) {
      find.patterns([...at, 'when', 'regex'], regex)
      const { min = 0, max = Infinity } = characters ?? {}
      if (min > max) {
        find.fault([...at, 'when', 'characters'], 'min of at most max', `${min} and ${max}`)
      }
      for (const [i, code] of language.entries()) {
        find.oneOf([...at, 'when', 'language', i], LANGUAGES, code)
      }
    },
    strategy(at, strategy) {
      findSettingsFaults(strategy, {
        fault: (field, expected, got) => find.fault([...at, ...field], expected, got),
        model: (field, name) => find.oneOf([...at, ...field], models, name),
      })
    },
    parameters(at, parameters = {}) {
      for (const key of ['model', 'messages', 'stream']) {
        if (Object.hasOwn(parameters, key)) find.fault([...at, key], 'any parameter but this', key)
      }
    },
  }
  for (const { row, section } of used) row.check?.(section, file, find)
  return faults
}

export interface PolicySurroundings {
  /** names of `gateway.models`; any if nothing is served */
  readonly models?: Iterable<string>
  /** of the routers that the `learned` section may ask; none if it names no router that is served */
  readonly pairs: readonly RouterPair[]
}

/**
 * Checks a policy file against the rest of the server: models without a backend, and routers that would pick
 * a model unknown to the policy, are refused before the first request.
 *
 * @throws config_invalid
 */
export function assertPolicyFits(
  { file, source }: CheckedPolicy,
  { models, pairs }: PolicySurroundings,
): void {
  const refuse = (at: readonly string[], expected: string, got: string): never => {
    const fault: PolicyFault = { line: source.lineOf(at), field: at.join('.'), expected, got }
    throw faultError(fault, source.path)
  }
  const served = models && new Set(models)
  for (const model of Object.keys(file.models)) {
    if (served && !served.has(model)) {
      refuse(['models', model], `one of gateway.models (${[...served].join(', ')})`, model)
    }
  }
  if (!file.learned) return
  if (pairs.length === 0) {
    refuse(['learned', 'router'], 'a router that is served', file.learned.router ?? 'none')
  }
  for (const { router, strong, weak } of pairs) {
    for (const [role, model] of Object.entries({ strong, weak })) {
      if (Object.hasOwn(file.models, model)) continue
      const expected = `${model}, the ${role} model of the router ${router}, among the models`
      refuse(['learned'], expected, Object.keys(file.models).join(', '))
    }
  }
}
