import { scoreNumber } from '../rows/cell.ts'
import { parsedText } from '../rows/expression.ts'
import { isRecord, type RawRecord } from '../rows/record.ts'
import { FIELD_NAMES, type Field, fieldColumns, plainName, scoreWord } from './long.ts'
import { wideColumns } from './wide.ts'

/** How a file of no known layout could be read: what is nearest, what it lacks, and the command to try. */
export interface Advice {
  /** where a list of rows stands in the file's records */
  readonly rows?: string
  /** our fields, and the paths at which they may stand */
  readonly fields: ReadonlyMap<Field, string>
  /** sentences for a person */
  readonly text: string
}

const DEPTH = 5

/**
 * @param path the file, for the command
 * @param sample its first records, before any mapping
 */
export function adviseOn(
  path: string,
  columns: ReadonlySet<string>,
  sample: readonly RawRecord[],
): Advice {
  const votes = ['model_a', 'model_b', 'winner']
  const has = votes.filter((column) => columns.has(column))
  if (has.length > 0) {
    const lacks = ['prompt', ...votes].filter((column) => !columns.has(column))
    const map = lacks.map((column) => `${column}=COLUMN`).join(',')
    const text = `The nearest layout is canonical (prompt, model_a, model_b, winner), which lacks ${lacks.join(' and ')}. Try: --map ${map}`
    return { fields: new Map(), text }
  }
  const rows = sample.length <= 3 ? listIn(sample[0]) : undefined
  const inside = rows?.items ?? sample
  const fields = fieldsOf(rows ? new Set() : columns, inside)
  const wanted = ['prompt', 'model', 'score'] as const
  const lacks = wanted.filter((field) => !fields.has(field))
  const numbers = wideColumns(columns, sample, {}).others
  const sentences = [
    rows
      ? `It holds a list of ${rows.items.length >= 100 ? '100 or more' : rows.items.length} rows at ${rows.path}.`
      : '',
    lacks.length > 0 && lacks.length < 3
      ? `The nearest layout is long (one row per prompt and model), which lacks ${lacks.join(' and ')}.`
      : '',
    lacks.length === 3 ? 'None of its fields looks like a prompt, a model or a score.' : '',
    !rows && numbers.size > 0 && lacks.includes('model')
      ? `Its numbers (${[...numbers.keys()].slice(0, 8).join(', ')}) do not look like models' scores: if columns are models, name them with --models-from a,b.`
      : '',
    `Try: weir data ingest ${path} ${flagsFor(rows?.path, fields)}`,
    fields.has('score') ? '' : 'Scores in another file are joined with --scores FILE --on KEY.',
    'weir data ingest --explain shows what is read.',
  ]
  return {
    ...(rows && { rows: rows.path }),
    fields,
    text: sentences.filter((sentence) => sentence !== '').join(' '),
  }
}

/** Names of numbers that are no scores, wherever they stand. */
const COUNTED =
  /^(id|idx|index|row|line|number|n|times?|time_?stamp|created(_at)?|.*_id|length|tokens?|chars|characters)$/i

/** Whether a file of no known layout has prompts, and nothing that says which model answered them or how well. */
export function holdsOnlyPrompts(
  columns: ReadonlySet<string>,
  sample: readonly RawRecord[],
): boolean {
  if (['model_a', 'model_b', 'winner'].some((column) => columns.has(column))) return false
  const fields = fieldsOf(columns, sample)
  if (!fields.has('prompt') || fields.has('model') || fields.has('score')) return false
  const { models, others, unclear } = wideColumns(columns, sample, {})
  return (
    models.length + unclear.size === 0 && [...others.keys()].every((name) => COUNTED.test(name))
  )
}

function flagsFor(rows: string | undefined, fields: ReadonlyMap<Field, string>): string {
  const map = [
    `prompt=${fields.get('prompt') ?? 'PATH'}`,
    `model=${fields.get('model') ?? '@folder'}`,
    `score=${fields.get('score') ?? 'PATH'}`,
  ].join(',')
  return `${rows === undefined ? '' : `--rows ${rows} `}--map '${map}'`
}

/** The first list of objects in a record: where, and its first elements. */
function listIn(
  record: RawRecord | undefined,
): { readonly path: string; readonly items: readonly RawRecord[] } | undefined {
  let level: (readonly [string, unknown])[] = Object.entries(record ?? {})
  for (let depth = 0; depth < DEPTH; depth++) {
    for (const [path, value] of level) {
      const list = typeof value === 'string' ? parsedText(value) : value
      if (Array.isArray(list) && list.length > 0 && list.every(isRecord) && !isTalk(list)) {
        return { path, items: list.slice(0, 100) }
      }
    }
    level = level.flatMap(([path, value]) =>
      isRecord(value)
        ? Object.entries(value).map(([key, item]) => [`${path}.${key}`, item] as const)
        : [],
    )
  }
  return undefined
}

const isTalk = (list: readonly RawRecord[]): boolean =>
  list.every((item) => 'role' in item || 'from' in item)

/** Where our fields may stand: columns by their names, else the nearest nested field with such a name. */
function fieldsOf(
  columns: ReadonlySet<string>,
  sample: readonly RawRecord[],
): ReadonlyMap<Field, string> {
  const names = new Set(columns)
  for (const record of sample) for (const name of Object.keys(record)) names.add(name)
  const found = new Map(fieldColumns(names, sample))
  for (const field of ['prompt', 'model'] as const) {
    const column = found.get(field)
    if (column !== undefined && sample.some((record) => typeof record[column] === 'number')) {
      found.delete(field)
    }
  }
  const first = sample[0]
  if (!first) return found
  const leaves = leavesOf(first)
  for (const field of ['prompt', 'model', 'score', 'cost', 'tokens'] as const) {
    const column = found.get(field)
    if (column !== undefined && !isRecord(first[column])) continue
    const known: readonly string[] = FIELD_NAMES[field]
    const fits = leaves.filter(
      ({ key, value }) => known.includes(plainName(key)) && FITS[field](value),
    )
    const best = fits.sort(
      (a, b) =>
        known.indexOf(plainName(a.key)) - known.indexOf(plainName(b.key)) || a.depth - b.depth,
    )[0]
    if (best) found.set(field, best.path)
  }
  return found
}

const FITS = {
  prompt: (value: unknown) => typeof value === 'string' || Array.isArray(value),
  model: (value: unknown) => typeof value === 'string',
  score: (value: unknown) => scoreWord(value) !== undefined,
  cost: (value: unknown) => scoreNumber(value) !== undefined,
  tokens: (value: unknown) => scoreNumber(value) !== undefined,
} as const

export interface Leaf {
  readonly path: string
  readonly key: string
  readonly value: unknown
  readonly depth: number
}

/** Every value of a record that is no object, and lists whole, with their paths; lists of objects by their first. */
export function leavesOf(record: RawRecord, prefix = '', depth = 0): Leaf[] {
  if (depth > DEPTH) return []
  return Object.entries(record).flatMap(([key, raw]): Leaf[] => {
    const step = /^[^.[\]|"]+$/.test(key) ? `${prefix === '' ? '' : '.'}${key}` : `["${key}"]`
    const path = `${prefix}${step}`
    const value = typeof raw === 'string' ? (parsedText(raw) ?? raw) : raw
    if (isRecord(value)) return leavesOf(value, path, depth + 1)
    const own: Leaf = { path, key, value, depth }
    if (Array.isArray(value) && isRecord(value[0])) {
      return [own, ...leavesOf(value[0], `${path}[0]`, depth + 1)]
    }
    return [own]
  })
}
