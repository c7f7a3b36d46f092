import { WeirError } from '../../core/errors.ts'
import type { RawRecord } from './record.ts'

/** What an expression may refer to besides the row's own fields. */
export interface Facts {
  /** the file that is read */
  readonly path: string
  /** read from files beside it, by a preset; `@beside.` */
  readonly beside?: RawRecord
  /** which one `*` takes of several scores */
  readonly scoreName?: string
}

/** A row within its file. */
export interface RowContext {
  readonly record: RawRecord
  /** the JSON object that the row's list stands in, or the row itself; `$.` */
  readonly document: RawRecord
  /** the record that was joined by its key, if there is one; `@scores.` */
  readonly joined?: RawRecord | undefined
}

/** The value of one field, computed from a row. */
export interface Expression {
  readonly text: string
  /** top-level columns it reads; undefined in the list stands for `$`, the whole document */
  readonly columns: readonly string[]
  /** undefined if nothing is there; null and empty text only if no alternative has more */
  value(row: RowContext): unknown
}

type Step = (value: unknown) => unknown
type Part = (row: RowContext) => unknown

/**
 * Compiles the source of one field:
 *
 *     question                   a column
 *     doc.question               a field inside a column; JSON in a text cell is parsed
 *     metrics[0].value           an element of a list; [-1] is the last
 *     scores[name=helpful].value the first element whose field `name` is `helpful`
 *     scores.*.value             of an object's fields or a list's elements (by their `name`) the one that --score-name
 *                                names, else the only one; the user is asked where a file has several
 *     scores.*first              the same, but the first where none is named: for lists whose order says which counts
 *     attributes["a.b"]          a field with dots in its name
 *     $.eval.model               from the whole JSON document, for rows that come from a list in it
 *     prompt|question            the first that is not empty
 *     'gpt-4o'                   this text, for every row (also in double quotes)
 *     @file, @folder             the file's name without its ending; its folder (@folder[1]: the one above)
 *     @named:metrics[0]          the field whose name stands at metrics[0]
 *     @scores.value              a field of the joined scores (--scores)
 *     @beside.model_name         a fact that a preset read from files beside this one
 *
 * A column whose whole name is the text wins over its reading as a path: `metrics.accuracy`, `m|cost`.
 *
 * @throws WeirError option_invalid, naming the text, if it is none of these
 */
export function compileExpression(text: string, facts: Facts): Expression {
  const columns = new Set<string>()
  const parts = alternatives(text).map((one) => compilePart(one.trim(), facts, columns, text))
  columns.add(text)
  const isPlain = parts.length === 1 && /^[^.[\]|$@'"*]+$/.test(text)
  if (isPlain) return { text, columns: [text], value: ({ record }) => own(record, text) }
  return {
    text,
    columns: [...columns],
    value(row) {
      const whole = own(row.record, text)
      if (whole !== undefined) return whole
      let found: unknown
      for (const part of parts) {
        const value = part(row)
        if (value !== undefined && value !== null && value !== '') return value
        found ??= value
      }
      return found
    },
  }
}

/** Splits at `|` outside quotes and brackets. */
function alternatives(text: string): string[] {
  const found: string[] = []
  let quote: string | undefined
  let depth = 0
  let from = 0
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!
    if (quote !== undefined) {
      if (character === quote) quote = undefined
    } else if (character === '"' || character === "'") quote = character
    else if (character === '[') depth++
    else if (character === ']') depth--
    else if (character === '|' && depth === 0) {
      found.push(text.slice(from, i))
      from = i + 1
    }
  }
  return [...found, text.slice(from)]
}

function compilePart(text: string, facts: Facts, columns: Set<string>, whole: string): Part {
  const fail = (got: string): never => {
    const expected =
      "a path (doc.question, metrics[0].value), 'text', @file, @folder, @named:path, @scores.field or $.path"
    throw new WeirError('option_invalid', { option: `the mapping ${whole}`, expected, got })
  }
  const quoted = /^'([^']*)'$/.exec(text) ?? /^"([^"]*)"$/.exec(text)
  if (quoted) return () => quoted[1]
  if (text === '') return fail('an empty one')
  if (text === '@file') {
    const name = fileName(facts.path)
    return () => name
  }
  const folder = /^@folder(?:\[(\d+)\])?$/.exec(text)
  if (folder) {
    const name = folderName(facts.path, Number(folder[1] ?? 0))
    return () => name
  }
  if (text.startsWith('@named:')) {
    const name = compilePart(text.slice('@named:'.length), facts, columns, whole)
    columns.add('$')
    return (row) => {
      const found = name(row)
      return typeof found === 'string' ? walk(row.record, pathSteps(found, facts) ?? []) : undefined
    }
  }
  const from = (prefix: string): readonly Step[] =>
    pathSteps(text.slice(prefix.length), facts) ?? fail(`the path ${text.slice(prefix.length)}`)
  if (text.startsWith('@scores.')) {
    const steps = from('@scores.')
    return ({ joined }) => walk(joined, steps)
  }
  if (text.startsWith('@beside.')) {
    const value = walk(facts.beside, from('@beside.'))
    return () => value
  }
  if (text.startsWith('@')) return fail(text)
  if (text === '$') {
    columns.add('$')
    return ({ document }) => document
  }
  if (text.startsWith('$.')) {
    columns.add(text.slice(2).split(/[.[]/)[0]!)
    const steps = from('$.')
    return ({ document }) => walk(document, steps)
  }
  const steps = from('')
  columns.add(text.startsWith('["') ? text.slice(2, text.indexOf('"', 2)) : text.split(/[.[]/)[0]!)
  return ({ record }) => walk(record, steps)
}

/** The alternatives that are the same for all rows of a file, because its place says them. */
export const placeParts = (text: string): string[] =>
  alternatives(text)
    .map((one) => one.trim())
    .filter((one) => /^@(file|folder|beside\.)/.test(one))

/** Whether the expression reads fields of the document around the row. */
export const needsDocument = (text: string): boolean =>
  alternatives(text).some((one) => /^(@named:)?\$/.test(one.trim()))

const SEGMENT = /^(?:\["([^"]*)"\]|\[(-?\d+)\]|\[([^\]=]+)=([^\]]*)\]|\.?([^.[\]]+))/

/** The steps of `a.b[0]["c"]`; undefined if it is not a path. */
function pathSteps(path: string, facts: Facts): Step[] | undefined {
  const steps: Step[] = []
  let rest = path
  while (rest !== '') {
    const match = SEGMENT.exec(rest)
    if (!match || (steps.length === 0 && rest.startsWith('.'))) return undefined
    rest = rest.slice(match[0].length)
    const [, key, index, by, wanted, name] = match
    if (key !== undefined) steps.push((value) => own(value, key))
    else if (index !== undefined) steps.push(elementAt(Number(index)))
    else if (by !== undefined)
      steps.push(elementWith(pathSteps(by.trim(), facts) ?? [], wanted!.trim()))
    else if (name === '*')
      steps.push(facts.scoreName === undefined ? onlyOf(facts.path) : namedOf(facts.scoreName))
    else if (name === '*first')
      steps.push(facts.scoreName === undefined ? firstOf : namedOf(facts.scoreName))
    else steps.push((value) => own(value, name!))
  }
  return steps.length > 0 ? steps : undefined
}

function walk(value: unknown, steps: readonly Step[]): unknown {
  let at = value
  for (const step of steps) {
    if (at === undefined || at === null) return undefined
    at = step(typeof at === 'string' ? parsedText(at) : at)
  }
  return at
}

/** JSON objects and lists in text cells, as tables and SQL exports hold them. */
export function parsedText(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function own(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.hasOwn(value, key) ? (value as RawRecord)[key] : undefined
}

const elementAt =
  (index: number): Step =>
  (value) =>
    Array.isArray(value) ? value.at(index) : undefined

const elementWith =
  (steps: readonly Step[], wanted: string): Step =>
  (value) =>
    Array.isArray(value) ? value.find((item) => String(walk(item, steps)) === wanted) : undefined

const namedOf =
  (name: string): Step =>
  (value) =>
    Array.isArray(value) ? value.find((item) => own(item, 'name') === name) : own(value, name)

const firstOf: Step = (value) =>
  typeof value === 'object' && value !== null ? Object.values(value)[0] : undefined

/** Also an object of nothing: a score's `{"value": null}`. */
const isNothing = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  (typeof value === 'object' && Object.values(value).every(isNothing))

/**
 * The only score of each row that is not empty, whose name must be the same throughout the file.
 *
 * @throws WeirError option_invalid, naming those found, if there are several
 */
function onlyOf(path: string): Step {
  const names = new Set<string>()
  return (value) => {
    if (typeof value !== 'object' || value === null) return undefined
    let only: unknown
    for (const [key, item] of Object.entries(value)) {
      if (isNothing(item)) continue
      names.add(Array.isArray(value) ? String(own(item, 'name') ?? `[${key}]`) : key)
      only ??= item
    }
    if (names.size > 1) {
      const expected = `the one to use of the scores in ${path}: ${[...names].join(', ')}`
      throw new WeirError('option_invalid', { option: '--score-name', expected, got: 'nothing' })
    }
    return only
  }
}

const segments = (path: string): string[] => path.split(/[/\\]/).filter((part) => part !== '')

/** `runs/gpt-4o/results.jsonl.gz` is `results`. */
export const fileName = (path: string): string =>
  (segments(path).at(-1) ?? path).replace(
    /(\.(jsonl|ndjson|json|csv|tsv|psv|parquet|arrow|feather|txt|log))?(\.(gz|zst))?$/i,
    '',
  )

const folderName = (path: string, up: number): string | undefined => segments(path).at(-2 - up)
