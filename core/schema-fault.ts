import type { TSchema } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import type { TLocalizedValidationError } from 'typebox/error'

/** The first fault of a value, worded for a message: where, what was expected, what came. */
export interface SchemaFault {
  /** dotted path, such as `messages.0.role`; empty for the value itself */
  readonly field: string
  readonly expected: string
  readonly got: string
}

/**
 * Picks the most useful fault for a person: the deepest one, so that a union reports the member that almost
 * matched and not its first alternative.
 */
export function firstFault(
  errors: readonly TLocalizedValidationError[],
  value: unknown,
): SchemaFault {
  let best = errors[0]
  for (const error of errors) {
    if (best && depth(error) > depth(best)) best = error
  }
  if (!best) return { field: '', expected: 'a valid value', got: describeValue(value) }
  const path = best.instancePath.split('/').slice(1).map(unescapePointer)
  if (best.keyword === 'required') {
    const missing = best.params.requiredProperties[0] ?? ''
    return { field: [...path, missing].join('.'), expected: 'a value', got: 'nothing' }
  }
  if (best.keyword === 'additionalProperties') {
    const extra = best.params.additionalProperties[0] ?? ''
    return { field: [...path, extra].join('.'), expected: 'no such field', got: 'one' }
  }
  const literals = errors
    .filter((error) => error.keyword === 'const' && error.instancePath === best.instancePath)
    .map((error) => JSON.stringify((error.params as { allowedValue: unknown }).allowedValue))
  return {
    field: path.join('.'),
    expected: literals.length > 0 ? literals.join(' or ') : inWords(best.message),
    got: describeValue(valueAt(value, path)),
  }
}

/**
 * The first fault of an external value, without collecting the others: time is linear in the value's size,
 * whereas finding all faults of an 8 MB body takes seconds.
 */
export function findFault(schema: TSchema, value: unknown): SchemaFault {
  const path: string[] = []
  let at: { readonly schema: TSchema; readonly value: unknown } = { schema, value }
  for (;;) {
    const inner = faultyPart(at.schema as SchemaParts, at.value)
    if (!inner) break
    path.push(inner.key)
    at = inner
  }
  const own = memberFor(at.schema as SchemaParts, at.value)
  const fault = own && ownFault(own, at.value)
  // the contents of lists and objects are valid at this point, so few faults are collected
  const { field, expected, got } =
    fault ?? firstFault(compiled(at.schema).Errors(at.value), at.value)
  return { field: [...path, ...(field ? [field] : [])].join('.'), expected, got }
}

/**
 * The union member for this kind of value, if there is exactly one; a schema that is not a union is returned
 * as is.
 */
function memberFor(schema: SchemaParts, value: unknown): SchemaParts | undefined {
  if (!schema.anyOf) return schema
  const kind = Array.isArray(value) ? 'array' : typeof value
  const fitting = schema.anyOf.filter(({ type }) => type === kind)
  return fitting.length === 1 ? fitting[0] : undefined
}

/** A list or an object with too many items, or with an unknown field; found without reading the rest. */
function ownFault(schema: SchemaParts, value: unknown): SchemaFault | undefined {
  const { maxItems, maxProperties, properties = {}, required = [] } = schema
  if (Array.isArray(value) && maxItems !== undefined && value.length > maxItems) {
    return {
      field: '',
      expected: `at most ${counting(maxItems, 'item')}`,
      got: describeValue(value),
    }
  }
  if (!isObject(value)) return undefined
  const keys = Object.keys(value)
  if (maxProperties !== undefined && keys.length > maxProperties) {
    return {
      field: '',
      expected: `at most ${counting(maxProperties, 'field')}`,
      got: String(keys.length),
    }
  }
  if (schema.additionalProperties !== false) return undefined
  if (required.some((key) => !Object.hasOwn(value, key))) return undefined
  const unknown = keys.find((key) => !Object.hasOwn(properties, key))
  return unknown === undefined
    ? undefined
    : { field: unknown, expected: 'no such field', got: describeValue(value[unknown]) }
}

/** The parts of JSON Schema's objects, lists and unions. */
type SchemaParts = TSchema & {
  readonly type?: string
  readonly items?: TSchema
  readonly maxItems?: number
  readonly maxProperties?: number
  readonly properties?: Readonly<Record<string, TSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: unknown
  readonly anyOf?: readonly SchemaParts[]
}

/**
 * The first item of a list or an object that does not match; undefined if the fault is in the value itself.
 */
function faultyPart(
  schema: SchemaParts,
  value: unknown,
): { readonly key: string; readonly schema: TSchema; readonly value: unknown } | undefined {
  const member = memberFor(schema, value)
  if (member !== schema) return member && faultyPart(member, value)
  if (schema.type === 'array' && schema.items && Array.isArray(value)) {
    if (value.length > (schema.maxItems ?? Number.POSITIVE_INFINITY)) return undefined
    const check = compiled(schema.items)
    const index = value.findIndex((item) => !check.Check(item))
    return index < 0
      ? undefined
      : { key: String(index), schema: schema.items, value: value[index] as unknown }
  }
  if (schema.type !== 'object' || !schema.properties || !isObject(value)) return undefined
  if (schema.required?.some((key) => !Object.hasOwn(value, key))) return undefined
  for (const [key, inner] of Object.entries(schema.properties)) {
    if (!Object.hasOwn(value, key)) continue
    if (!compiled(inner).Check(value[key])) return { key, schema: inner, value: value[key] }
  }
  return undefined
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const validators = new WeakMap<TSchema, Validator>()

function compiled(schema: TSchema): Validator {
  let validator = validators.get(schema)
  if (!validator) {
    validator = Compile(schema)
    validators.set(schema, validator)
  }
  return validator
}

/** A value in a few characters: its kind, and its text if short. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (value !== null && typeof value === 'object') return 'an object'
  if (typeof value !== 'string') return String(value)
  return value.length > 60 ? `a string of ${value.length} characters` : JSON.stringify(value)
}

function depth(error: TLocalizedValidationError): number {
  return error.instancePath === '' ? 0 : error.instancePath.split('/').length - 1
}

const unescapePointer = (part: string): string => part.replace(/~1/g, '/').replace(/~0/g, '~')

function valueAt(value: unknown, path: readonly string[]): unknown {
  let at = value
  for (const part of path) {
    if (at === null || typeof at !== 'object') return undefined
    at = (at as Record<string, unknown>)[part]
  }
  return at
}

/** TypeBox's message as what was expected. A field that the schema does not allow is matched against `false`. */
function inWords(message: string): string {
  if (message === 'schema is false') return 'no such field'
  const counted = /^must not have (fewer|more) than (\d+) (item|character|propertie)s$/.exec(
    message,
  )
  if (!counted) return message.replace(/^must (be|match) /, '').replace(/^must not have /, 'no ')
  const [, which, limit, what] = counted
  const unit = what === 'propertie' ? 'field' : what
  return `at ${which === 'fewer' ? 'least' : 'most'} ${counting(Number(limit), unit!)}`
}

const counting = (limit: number, unit: string): string =>
  `${limit} ${unit}${limit === 1 ? '' : 's'}`
