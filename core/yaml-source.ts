import { createHash } from 'node:crypto'
import { isMap, isScalar, LineCounter, parseDocument, stringify } from 'yaml'
import { WeirError } from './errors.ts'

/** Maximum number of characters read: bounds what a reload can cost. */
const LIMIT = 1_000_000

/** A YAML or JSON text (JSON is YAML), with the line of every value. */
export interface Source {
  readonly path: string
  readonly text: string
  readonly value: unknown
  /** the first 12 hex digits of the text's SHA-256: identifies a policy in logs */
  readonly hash: string
  /** line (from 1) of the value at the path, or of its nearest existing ancestor */
  lineOf(field: readonly (string | number)[]): number
}

/**
 * The keys of a field written as text, such as `gateway.models.gpt-4.1.upstreams[0]`. Keys may contain dots:
 * the longest key that the value has is taken.
 */
export function fieldKeys(value: unknown, field: string): string[] {
  const keys: string[] = []
  let at = value
  let rest = field
  while (rest !== '') {
    const known = isObject(at) ? Object.keys(at) : []
    const fitting = known.filter((key) => rest === key || /^[.[\]]/.test(afterKey(rest, key)))
    const key = fitting.reduce(
      (longest, one) => (one.length > longest.length ? one : longest),
      fitting[0] ?? /^[^.[\]]*/.exec(rest)![0],
    )
    if (key === '' && !known.includes('')) return [...keys, rest]
    keys.push(key)
    at = isObject(at) ? at[key] : undefined
    rest = rest.slice(key.length).replace(/^[.[\]]+/, '')
  }
  return keys
}

/** The text after the key; empty if it does not start with the key. */
const afterKey = (text: string, key: string): string =>
  key !== '' && text.startsWith(key) ? text.slice(key.length) : ''

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

/**
 * @param kind the kind of file, for errors: `a policy`
 * @throws config_invalid, with the line
 */
export function parseSource(text: string, path: string, kind: string): Source {
  if (text.length > LIMIT) {
    const expected = `${kind} of at most ${LIMIT} characters`
    throw new WeirError('config_invalid', { where: path, expected, got: text.length })
  }
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    prettyErrors: false,
  })
  const fault = document.errors[0]
  if (fault) {
    const where = `${path}:${lines.linePos(fault.pos[0]).line}`
    throw new WeirError('config_invalid', {
      where,
      expected: `${kind} in YAML or JSON`,
      got: fault.message,
    })
  }
  const value: unknown = plainValue(() => document.toJS({ maxAliasCount: 100 }), path, kind)
  const lineOf = (field: readonly (string | number)[]): number => {
    for (let length = field.length; length > 0; length--) {
      const at = field.slice(0, length)
      const parent: unknown = document.getIn(at.slice(0, -1), true)
      if (isMap(parent)) {
        const pair = parent.items.find(
          ({ key }) => isScalar(key) && String(key.value) === String(at.at(-1)),
        )
        if (isScalar(pair?.key) && pair.key.range) return lines.linePos(pair.key.range[0]).line
      }
      const node = document.getIn(at, true) as { range?: readonly number[] } | undefined
      const start = node?.range?.[0]
      if (start !== undefined) return lines.linePos(start).line
    }
    return 1
  }
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 12)
  return { path, text, value, hash, lineOf }
}

/** The value as YAML, which `parseSource` reads. */
export const yamlText = (value: unknown): string => stringify(value).trimEnd()

/**
 * A YAML or JSON text with some values set, by their keys; comments and order stay, and JSON stays JSON.
 *
 * @param text that `parseSource` reads
 */
export function changedYaml(
  text: string,
  changes: readonly (readonly [keys: readonly string[], value: unknown])[],
): string {
  const document = parseDocument(text)
  for (const [keys, value] of changes) {
    // what is empty or null on the way cannot be set into
    for (let length = 1; length < keys.length; length++) {
      const at = keys.slice(0, length)
      if (!isMap(document.getIn(at, true))) document.setIn(at, document.createNode({}))
    }
    document.setIn(keys, value)
  }
  return isJson(text)
    ? `${JSON.stringify(document.toJS(), undefined, 2)}\n`
    : document.toString({ lineWidth: 0 })
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function plainValue(read: () => unknown, path: string, kind: string): unknown {
  try {
    return read()
  } catch (cause) {
    const got = (cause as Error).message
    throw new WeirError('config_invalid', { where: path, expected: kind, got }, { cause })
  }
}
