import Type from 'typebox'
import {
  compileExpression,
  type Expression,
  type Facts,
  needsDocument,
  parsedText,
  placeParts,
  type RowContext,
} from './expression.ts'
import type { RawRecord } from './record.ts'

const Words = Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()])
const Conditions = Type.Record(Type.String(), Type.Union([Words, Type.Array(Words)]))

/**
 * How records of any layout become rows, as data: what `--map FILE.yaml` holds, and what a preset is made of.
 *
 *     rows: results.results            # where the list of rows stands; lists on the way are gone through
 *     fields:                          # our field: where it comes from (see `compileExpression`)
 *       prompt: prompt.raw|vars.question
 *       model: provider.label|provider.id
 *       score: score|success
 *       cost: cost
 *       tokens: response.tokenUsage.completion
 *     values:                          # words that stand for other values, per field
 *       score: { C: 1, P: 0.5, I: 0 }
 *     where: { filter: strict-match }  # keep only these rows; the others are counted as left out
 *     except: { failureReason: 2 }     # leave these out
 *     on: [id, trace_id]               # keys by which scores from another file are joined; the first that has one
 *
 * The fields: `prompt`, `id`, `category`, `timestamp`, `user`, `session`; and for one answer per row `model`,
 * `score`, `cost` (US dollars), `tokens` (of the answer); or for several `scores`, `costs`, `tokens` as
 * `{model: number}`; or for a comparison `model_a`, `model_b`, `winner`, `judge`, `weight`.
 */
export const Mapping = Type.Object(
  {
    rows: Type.Optional(Type.String({ minLength: 1 })),
    fields: Type.Record(Type.String({ minLength: 1 }), Type.String({ minLength: 1 })),
    values: Type.Optional(Type.Record(Type.String(), Type.Record(Type.String(), Words))),
    where: Type.Optional(Conditions),
    except: Type.Optional(Conditions),
    on: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
  },
  { additionalProperties: false },
)
export type Mapping = Type.Static<typeof Mapping>

/** A mapping ready for the records of one file. */
export interface CompiledMapping {
  readonly fields: readonly (readonly [field: string, expression: Expression])[]
  /** top-level columns that it reads; undefined if it needs them all */
  readonly columns: readonly string[] | undefined
  /** why the row is to be left out; undefined to keep it */
  leftOut(row: RowContext): string | undefined
  /** the values of the fields; those that are not there are left out */
  read(row: RowContext): Record<string, unknown>
  /** what its rows read of the document around their list, as text; undefined if nothing */
  readonly documentFacts: ((document: RawRecord) => string) | undefined
  /** what the file's place says of its rows, such as the model: equal for files that say the same */
  readonly placed: string
  /** whether rows have a key by which scores are joined */
  readonly joins: boolean
  /** those keys, in the order in which they are tried */
  keys(row: RowContext): readonly string[]
}

export function compileMapping(mapping: Mapping, facts: Facts): CompiledMapping {
  const compile = (text: string): Expression => compileExpression(text, facts)
  const fields = Object.entries(mapping.fields).map(([field, text]) => {
    const words = mapping.values?.[field]
    const expression = compile(text)
    return [field, words ? translated(expression, words) : expression] as const
  })
  const where = conditions(mapping.where, compile)
  const except = conditions(mapping.except, compile)
  const on = (mapping.on ?? []).map(compile)
  const all = [...fields.map(([, it]) => it), ...where, ...except, ...on]
  const heads = mapping.rows?.split('|').filter((path) => path !== '$') ?? []
  const head = heads.flatMap((path) => [path, path.split(/[.[]/)[0]!])
  const columns = new Set([...head, ...all.flatMap((it) => it.columns)])
  const around = all.filter(({ text }) => needsDocument(text))
  return {
    fields,
    documentFacts:
      around.length === 0
        ? undefined
        : (document) => JSON.stringify(around.map((it) => it.value({ record: {}, document }))),
    columns: columns.has('$') ? undefined : [...columns],
    placed: Object.values(mapping.fields)
      .flatMap(placeParts)
      .map((text) => String(compile(text).value({ record: {}, document: {} })))
      .join('\n'),
    joins: on.length > 0,
    leftOut(row) {
      for (const { text, matches, wanted, value } of where) {
        if (!matches(value(row))) return `${text} is not ${wanted}`
      }
      for (const { text, matches, wanted, value } of except) {
        if (matches(value(row))) return `${text} is ${wanted}`
      }
      return undefined
    },
    read(row) {
      const made: Record<string, unknown> = Object.create(null)
      for (const [field, expression] of fields) {
        const value = expression.value(row)
        if (value !== undefined) made[field] = value
      }
      return made
    },
    keys(row) {
      const keys: string[] = []
      for (const expression of on) {
        const value = expression.value(row)
        if (value !== undefined && value !== null && value !== '') keys.push(String(value))
      }
      return keys
    },
  }
}

function translated(expression: Expression, words: Readonly<Record<string, unknown>>): Expression {
  return {
    ...expression,
    value(row) {
      const value = expression.value(row)
      const word = String(value)
      return Object.hasOwn(words, word) ? words[word] : value
    },
  }
}

interface Condition extends Expression {
  readonly wanted: string
  matches(value: unknown): boolean
}

function conditions(
  given: Mapping['where'],
  compile: (text: string) => Expression,
): readonly Condition[] {
  return Object.entries(given ?? {}).map(([text, value]) => {
    const allowed = (Array.isArray(value) ? value : [value]).map((word) => {
      if (typeof word !== 'string' || !word.startsWith('@beside.')) return String(word)
      return String(compile(word).value({ record: {}, document: {} }) ?? null)
    })
    return {
      ...compile(text),
      wanted: allowed.join(' or '),
      matches: (found) => allowed.includes(String(found ?? null)),
    }
  })
}

/**
 * The rows at `path` in a document: the elements of the list there. Lists on the way are gone through, so
 * `resourceSpans.scopeSpans.spans` gives every span; an object at the end is one row. Text that holds JSON is
 * parsed. Of `results|$` the first that is there is taken; `$` is the document itself, as one row.
 *
 * @returns undefined if nothing is there
 */
export function rowsAt(document: RawRecord, path: string): unknown[] | undefined {
  for (const one of path.split('|')) {
    const rows = one === '$' ? [document] : listAt(document, one)
    if (rows !== undefined) return rows
  }
  return undefined
}

function listAt(document: RawRecord, path: string): unknown[] | undefined {
  let level: unknown[] = [document]
  for (const key of path.split('.')) {
    level = level.flatMap(elementsOf).flatMap((item) => {
      if (typeof item !== 'object' || item === null || !Object.hasOwn(item, key)) return []
      return [(item as RawRecord)[key]]
    })
    if (level.length === 0) return undefined
  }
  return level.flatMap(elementsOf)
}

/** The elements of a list, also of lists in it and of lists as JSON text; of any other value the value itself. */
export function elementsOf(item: unknown): unknown[] {
  const value = typeof item === 'string' ? parsedText(item) : item
  if (Array.isArray(value)) return value.flatMap(elementsOf)
  return value === undefined || value === null ? [] : [value]
}
