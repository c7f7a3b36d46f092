import { readFile } from 'node:fs/promises'
import type { TSchema } from 'typebox'
import { Check, Errors } from 'typebox/value'
import { standsElsewhere } from '../../core/config-values.ts'
import { WeirError } from '../../core/errors.ts'
import { firstFault } from '../../core/schema-fault.ts'
import { fieldKeys, parseSource, type Source } from '../../core/yaml-source.ts'

/**
 * @param kind what the file is, for errors: `a server config`
 * @throws file_not_found; config_invalid if it is neither YAML nor JSON
 */
export async function readSource(path: string, kind: string): Promise<Source> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  return parseSource(text, path, kind)
}

/** @throws config_invalid with the line of the first value that the schema does not allow */
export function assertFits(schema: TSchema, value: unknown, source: Source): void {
  if (Check(schema, value)) return
  const { field, expected, got } = firstFault(Errors(schema, value), value)
  const keys = fieldKeys(value, field)
  const written = keys.reduce<unknown>(
    (at, key) => (at as Record<string, unknown> | undefined)?.[key],
    source.value,
  )
  // what stands elsewhere may be a password
  const shown = standsElsewhere(written) ? `what ${written} stands for` : got
  throw configFault(source, keys, expected, shown)
}

/** The error of one field of the file, with its line. */
export function configFault(
  source: Source,
  field: readonly string[],
  expected: string,
  got: unknown,
): WeirError {
  const named = field.length > 0 ? `: ${field.join('.')}` : ''
  const where = `${source.path}:${source.lineOf(field)}${named}`
  return new WeirError('config_invalid', { where, expected, got: String(got) })
}

/**
 * An error about a part of the configuration that shows only when it is used, with the file and the line. Other
 * errors are returned as they are.
 */
export function withLine(error: unknown, source: Source | undefined): unknown {
  if (!source || !(error instanceof WeirError) || error.code !== 'config_invalid') return error
  const field = fieldKeys(source.value, error.where ?? '')
  const known = source.value !== null && typeof source.value === 'object' ? source.value : {}
  if (field.length === 0 || !Object.hasOwn(known, field[0]!)) return error
  const message = `${source.path}:${source.lineOf(field)}: ${error.message}`
  return new WeirError('config_invalid', {}, { message, cause: error })
}
