import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { findFault } from '../../core/schema-fault.ts'

/** Checks parts of requests against their compiled TypeBox schema. Nothing is coerced or filled in. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const check = Compile(schema)
  return (value: unknown) => {
    if (check.Check(value)) return { value }
    const given = withoutNulls(value)
    if (given !== value && check.Check(given)) return { value: given }
    const { field, expected, got } = findFault(schema, value)
    const where = field || httpPart || 'body'
    return {
      error: new WeirError(
        'request_invalid',
        { where, expected, got },
        field ? { param: field } : {},
      ),
    }
  }
}

/** Fields whose values are the client's own: a null in them is a value. */
const OPAQUE = new Set(['metadata', 'tools', 'response_format'])

/** The value without fields that are null, which clients write for fields that are absent; itself if it has none. */
export function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const given = value.map(withoutNulls)
    return given.some((one, i) => one !== value[i]) ? given : value
  }
  let changed = false
  const given: [string, unknown][] = []
  for (const [field, its] of Object.entries(value)) {
    const one = OPAQUE.has(field) ? its : withoutNulls(its)
    if (one !== its || its === null) changed = true
    if (its !== null) given.push([field, one])
  }
  return changed ? Object.fromEntries(given) : value
}
