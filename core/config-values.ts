import { readFileSync } from 'node:fs'
import { WeirError } from './errors.ts'

/** Where values of a configuration come from besides its file. */
export interface ValueSources {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** the text of a file; the file system's by default */
  readonly readText?: (path: string) => string
}

const VARIABLE = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g
const FILE = 'file:'

/** Whether a value stands in the environment or another file. */
export const standsElsewhere = (value: unknown): boolean =>
  typeof value === 'string' && (value.startsWith(FILE) || /\$\{[A-Za-z_]/.test(value))

/**
 * The configuration with what its values stand for, so that no password stands in it: `${NAME}` and
 * `${NAME:-default}` anywhere in a text, `$${` for a plain `${`, and `file:/run/secrets/db` as a whole text, which is
 * that file without the newline at its end. A text that is only `${NAME}` becomes a number, true or false where the
 * variable's text is one.
 *
 * @throws config_invalid, naming the field, if a variable is not set or a file cannot be read
 */
export function withValues(value: unknown, sources: ValueSources, field = ''): unknown {
  if (Array.isArray(value)) return value.map((one, i) => withValues(one, sources, `${field}[${i}]`))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [
        key,
        withValues(one, sources, field === '' ? key : `${field}.${key}`),
      ]),
    )
  }
  return typeof value === 'string' ? textValue(value, sources, field) : value
}

function textValue(
  text: string,
  { environment, readText = (path) => readFileSync(path, 'utf8') }: ValueSources,
  field: string,
): unknown {
  if (text.startsWith(FILE)) {
    const path = text.slice(FILE.length)
    try {
      return readText(path).replace(/\r?\n$/, '')
    } catch (cause) {
      const got = (cause as Error).message
      throw new WeirError(
        'config_invalid',
        { where: field, expected: `a file that can be read at ${path}`, got },
        { cause },
      )
    }
  }
  const found = text.replace(VARIABLE, (all, name: string | undefined, fallback?: string) => {
    if (name === undefined) return '${'
    const set = environment[name]
    if (set !== undefined && set !== '') return set
    if (fallback !== undefined) return fallback
    throw new WeirError('config_invalid', {
      where: field,
      expected: `the environment variable ${name}, which ${all} stands for`,
      got: set === undefined ? 'nothing' : 'an empty one',
    })
  })
  return /^\$\{[^}]*\}$/.test(text) ? plainValue(found) : found
}

/** A number, true or false where the text is one. */
export function plainValue(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true'
  return /^-?(0|[1-9]\d{0,14})(\.\d+)?$/.test(text) ? Number(text) : text
}

/**
 * The configuration with `WEIR_*` variables over it: `WEIR_RATE_PER_MINUTE=60` sets `rate_per_minute`,
 * `WEIR_STATE__STORES=postgres://...` sets `state.stores`; lists and objects are JSON. Only fields whose first name
 * is in `fields` are set.
 */
export function withOverrides(
  config: Readonly<Record<string, unknown>>,
  environment: ValueSources['environment'],
  fields: readonly string[],
): Record<string, unknown> {
  const made: Record<string, unknown> = structuredClone(config) as Record<string, unknown>
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith('WEIR_') || text === undefined) continue
    const path = name.slice('WEIR_'.length).toLowerCase().split('__')
    if (!fields.includes(path[0]!) || path.includes('')) continue
    let at = made
    for (const key of path.slice(0, -1)) {
      const inner = at[key]
      at[key] = typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? inner : {}
      at = at[key] as Record<string, unknown>
    }
    at[path.at(-1)!] = overrideValue(name, text)
  }
  return made
}

function overrideValue(name: string, text: string): unknown {
  if (!/^[[{]/.test(text)) return plainValue(text)
  try {
    return JSON.parse(text)
  } catch (cause) {
    const expected = 'JSON, as it begins with a bracket'
    throw new WeirError('config_invalid', { where: name, expected, got: text }, { cause })
  }
}
