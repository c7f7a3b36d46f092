import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { firstFault } from '../../core/schema-fault.ts'
import { parseSource, type Source } from '../../core/yaml-source.ts'
import { findFaults, type PolicyFault } from './fault.ts'
import { PolicyFile } from './file.ts'
import { SECTION_CHECKS } from './section-checks.ts'

export interface CheckedPolicy {
  readonly file: PolicyFile
  readonly source: Source
}

const shape = Compile(PolicyFile)

/** All that is wrong with a policy file; nothing, where it may be served. */
export function policyFaults(source: Source): PolicyFault[] {
  const { value } = source
  if (shape.Check(value)) return findFaults(value, source, SECTION_CHECKS)
  const { field, expected, got } = firstFault(shape.Errors(value), value)
  return [{ line: source.lineOf(field.split('.')), field: field || 'the file', expected, got }]
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
