import { Compile } from 'typebox/compile'
import { WeirError } from '../../models/errors.ts'
import { firstFault } from '../../models/schema-fault.ts'
import { PolicyFile } from './file.ts'
import { compilePattern } from './pattern.ts'
import { parseSource, type Source } from './source.ts'

/** Something wrong in a policy file, and where. */
export interface PolicyFault {
  readonly line: number
  readonly field: string
  readonly expected: string
  readonly got: string
}

export interface CheckedPolicy {
  readonly file: PolicyFile
  readonly source: Source
}

const shape = Compile(PolicyFile)

/** All that is wrong with a policy file; nothing, where it may be served. @throws config_invalid: no YAML */
export function policyFaults(source: Source): PolicyFault[] {
  const { value } = source
  if (!shape.Check(value)) {
    const { field, expected, got } = firstFault(shape.Errors(value), value)
    return [{ line: source.lineOf(field.split('.')), field, expected, got }]
  }
  return meaningFaults(value, source)
}

/** @throws config_invalid with file, line, field: the first of the faults */
export function checkPolicy(text: string, path: string): CheckedPolicy {
  const source = parseSource(text, path)
  const fault = policyFaults(source)[0]
  if (fault) throw faultError(fault, path)
  return { file: source.value as PolicyFile, source }
}

export function faultError({ line, field, expected, got }: PolicyFault, path: string): WeirError {
  return new WeirError('config_invalid', { where: `${path}:${line}: ${field}`, expected, got })
}

/** Names that lead nowhere, patterns that are none, and what contradicts itself. */
function meaningFaults(file: PolicyFile, source: Source): PolicyFault[] {
  const faults: PolicyFault[] = []
  const fault = (at: readonly (string | number)[], expected: string, got: string): void => {
    faults.push({ line: source.lineOf(at), field: at.join('.'), expected, got })
  }
  const routes = Object.keys(file.routes ?? {})
  const targets = [...routes, ...Object.keys(file.models)]
  const oneOf = (at: readonly (string | number)[], names: readonly string[], got: string): void => {
    if (!names.includes(got)) fault(at, `one of ${names.join(', ') || '(none is defined)'}`, got)
  }
  const models = (at: readonly (string | number)[], names: readonly string[] = []): void => {
    for (const [i, name] of names.entries()) oneOf([...at, i], Object.keys(file.models), name)
  }
  const pattern = (at: readonly (string | number)[], text: string): void => {
    try {
      compilePattern(text)
    } catch (error) {
      fault(at, 'an RE2 pattern (no look-around, no back-references)', (error as Error).message)
    }
  }
  const unique = (list: string, names: readonly string[]): void => {
    for (const [i, name] of names.entries()) {
      if (names.indexOf(name) < i) fault([list, i, 'name'], 'a name of its own', name)
    }
  }
  for (const name of routes) {
    if (name in file.models) fault(['routes', name], 'a name that is no model’s', name)
    models(['routes', name, 'models'], file.routes?.[name]?.models)
    for (const key of ['model', 'messages', 'stream']) {
      if (key in (file.routes?.[name]?.parameters ?? {})) {
        fault(['routes', name, 'parameters', key], 'any parameter but this', key)
      }
    }
  }
  for (const [name, key] of Object.entries(file.keys ?? {}))
    models(['keys', name, 'models'], key.models)
  for (const [i, text] of (file.privacy?.patterns ?? []).entries()) {
    pattern(['privacy', 'patterns', i], text)
  }
  if (file.privacy && !Object.values(file.models).some((model) => model.private)) {
    fault(['privacy'], 'at least one model with private: true', 'none')
  }
  for (const list of ['guardrails', 'rules'] as const) {
    unique(
      list,
      (file[list] ?? []).map(({ name }) => name),
    )
    for (const [i, { when }] of (file[list] ?? []).entries()) {
      for (const [j, text] of (when.regex ?? []).entries())
        pattern([list, i, 'when', 'regex', j], text)
    }
  }
  for (const [i, rule] of (file.rules ?? []).entries())
    oneOf(['rules', i, 'route'], targets, rule.route)
  for (const [i, route] of (file.semantic?.routes ?? []).entries()) {
    oneOf(['semantic', 'routes', i, 'route'], targets, route.route)
  }
  if (file.privacy && file.semantic?.encoder.startsWith('openai:')) {
    fault(
      ['semantic', 'encoder'],
      'an encoder on this machine beside privacy',
      file.semantic.encoder,
    )
  }
  oneOf(['default'], targets, file.default)
  return faults
}
