import type { TLocalizedValidationError } from 'typebox/error'

/** The first thing wrong with a value, in words for a message: where, what was expected, what came. */
export interface SchemaFault {
  /** dotted path, such as `messages.0.role`; empty for the value itself */
  readonly field: string
  readonly expected: string
  readonly got: string
}

/**
 * Picks the fault a person should read: the one that lies deepest, so that a union answers with the
 * member that nearly fitted and not with its first alternative.
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

/** A value in a few characters: what it is, and its text where that is short. */
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

/** A field that the schema does not allow is matched against `false`. */
const inWords = (message: string): string =>
  message === 'schema is false' ? 'no such field' : message.replace(/^must (be|match) /, '')
