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
