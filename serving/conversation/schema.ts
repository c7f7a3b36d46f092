import type { Fields } from './form.ts'

/** JSON Schemas of chat bodies, as Anthropic's API accepts them. */

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * A schema of tool arguments that says it is one of an object: OpenAI's API takes none, `{}` and schemas
 * without `type` for a tool without arguments.
 */
export function objectSchema(schema: unknown): Fields {
  if (!isObject(schema)) return { type: 'object', properties: {} }
  const { type, ...rest } = schema
  if (type === 'object') return schema
  // `null` beside `object`, or a type that no arguments can have
  return Object.keys(rest).length === 0
    ? { type: 'object', properties: {} }
    : { ...rest, type: 'object' }
}

/** Keywords that hold a schema, a list of them, or a map of them. */
const ONE = ['items', 'not', 'if', 'then', 'else', 'contains', 'propertyNames']
const MANY = ['anyOf', 'oneOf', 'allOf', 'prefixItems']
const MAPS = ['properties', '$defs', 'definitions', 'patternProperties']

/** Limits that the API's grammar cannot hold; they are told to the model in the description instead. */
const TOLD = [
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'maxItems',
  'uniqueItems',
  'minProperties',
  'maxProperties',
]

/**
 * A schema for structured output: every object closed (`additionalProperties: false`) unless it says
 * otherwise, and limits that the API refuses moved into descriptions.
 */
export function closedSchema(schema: unknown): unknown {
  if (!isObject(schema)) return schema
  const out: Record<string, unknown> = { ...schema }
  for (const keyword of ONE) if (keyword in out) out[keyword] = closedSchema(out[keyword])
  for (const keyword of MANY) {
    const list = out[keyword]
    if (Array.isArray(list)) out[keyword] = list.map(closedSchema)
  }
  for (const keyword of MAPS) {
    const map = out[keyword]
    if (!isObject(map)) continue
    out[keyword] = Object.fromEntries(
      Object.entries(map).map(([name, each]) => [name, closedSchema(each)]),
    )
  }
  const told: string[] = []
  const tell = (keyword: string): void => {
    told.push(`${keyword}: ${JSON.stringify(out[keyword])}`)
    delete out[keyword]
  }
  for (const keyword of TOLD) if (keyword in out) tell(keyword)
  // 0 and 1 are in the grammar
  if (typeof out.minItems === 'number' && out.minItems > 1) tell('minItems')
  if (told.length > 0) {
    const before = typeof out.description === 'string' ? `${out.description} ` : ''
    out.description = `${before}(${told.join(', ')})`
  }
  const object = out.type === 'object' || isObject(out.properties)
  if (object && out.additionalProperties === undefined) out.additionalProperties = false
  return out
}
