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
    // each item is looked at once: twice would be 2^64 times in the deepest list of lists
    let list: unknown[] | undefined
    for (const [i, one] of value.entries()) {
      const its = withoutNulls(one)
      if (its === one) continue
      list ??= [...value]
      list[i] = its
    }
    return list ?? value
  }
  const fields = value as Readonly<Record<string, unknown>>
  /** what remains of fields that are, or hold, null */
  let changes: Map<string, unknown> | undefined
  for (const field of Object.keys(fields)) {
    const its = fields[field]
    if (typeof its !== 'object' || (its !== null && OPAQUE.has(field))) continue
    const one = its === null ? undefined : withoutNulls(its)
    if (one === its) continue
    changes ??= new Map()
    changes.set(field, one)
  }
  if (!changes) return value
  const given = Object.entries(fields).filter(([, its]) => its !== null)
  return Object.fromEntries(given.map(([field, its]) => [field, changes.get(field) ?? its]))
}
