import Type, { type TSchema } from 'typebox'
import { expect, test } from 'vitest'
import { findFault } from '../../core/schema-fault.ts'

test.each<[schema: TSchema, value: unknown, expected: string, got: string]>([
  [Type.Array(Type.String(), { minItems: 1 }), [], 'at least 1 item', 'a list of 0'],
  [Type.Array(Type.String(), { maxItems: 1 }), ['a', 'b'], 'at most 1 item', 'a list of 2'],
  [Type.String({ minLength: 2 }), 'a', 'at least 2 characters', '"a"'],
  [Type.String({ maxLength: 1 }), 'ab', 'at most 1 character', '"ab"'],
  [
    Type.Record(Type.String(), Type.Any(), { minProperties: 2 }),
    {},
    'at least 2 fields',
    'an object',
  ],
  [
    Type.Array(Type.String(), { uniqueItems: true }),
    ['a', 'a'],
    'no duplicate items',
    'a list of 2',
  ],
  [Type.Number({ minimum: 1 }), 0, '>= 1', '0'],
  [Type.String(), null, 'string', 'null'],
])('a fault says what was expected: %j, %j', (schema, value, expected, got) => {
  expect(findFault(schema, value)).toEqual({ field: '', expected, got })
})
