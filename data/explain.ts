import { WeirError } from '../core/errors.ts'
import { adviseOn, leavesOf } from './readers/advice.ts'
import { READERS } from './readers.ts'
import { shown } from './rows/cell.ts'
import { rowsAt } from './rows/mapping.ts'
import { createPlacer, recordMapper } from './rows/placer.ts'
import type { LeftOut, LogRow, RawRecord, Reject } from './rows/reader.ts'
import { isRecord } from './rows/record.ts'
import { expandPaths } from './source/expand-paths.ts'
import { type LogOptions, openLog, openTable } from './source/log.ts'
import { openSource } from './source/source.ts'

/** How one row of a file is read. */
export interface ExplainedRow {
  /** `log.jsonl:1` and the like are the caller's to print: the line, and the item of a list */
  readonly line: number
  readonly item?: number
  /** what it becomes, field by field, as text */
  readonly fields: readonly (readonly [field: string, value: string])[]
}

export interface Explanation {
  readonly path: string
  /** the layout; undefined if the file has none, and `advice` says what to try */
  readonly format?: string
  readonly rows: readonly ExplainedRow[]
  /** where each mapped field comes from */
  readonly mapping: readonly (readonly [field: string, source: string])[]
  /** fields of the file that no row was read from */
  readonly unused: readonly string[]
  readonly notes: readonly string[]
  readonly advice?: string
}

const ROWS_SHOWN = 3

/**
 * How the first rows of each file would be read, without writing anything.
 *
 * @throws file_not_found, file_unreadable, option_invalid
 */
export async function explain(
  paths: readonly string[],
  options: LogOptions,
): Promise<Explanation[]> {
  const found: Explanation[] = []
  for (const path of await expandPaths(paths)) found.push(await explainFile(path, options))
  return found
}

async function explainFile(path: string, options: LogOptions): Promise<Explanation> {
  const table = await openTable(await openSource(path))
  const sample = await table.sample(100).finally(() => table.close())
  const columns = new Set(table.columns)
  for (const record of sample) for (const name of Object.keys(record)) columns.add(name)
  let log: Awaited<ReturnType<typeof openLog>>
  try {
    log = await openLog(await openSource(path), options)
  } catch (error) {
    if (!(error instanceof WeirError) || !UNKNOWN.has(error.code)) throw error
    const { text } = adviseOn(path, columns, sample)
    return { path, rows: [], mapping: [], unused: [...columns], notes: [], advice: text }
  }
  await log.close()
  const { spec } = log
  const reader = READERS.find(({ name }) => name === spec.format)!
  const place = createPlacer(reader, spec)
  const rows: ExplainedRow[] = []
  const touched = new Set<string>()
  for (const [i, record] of sample.entries()) {
    if (rows.length >= ROWS_SHOWN) break
    place({ record: watched(record, '', touched), line: i + 1 }, (row) => {
      if (rows.length >= ROWS_SHOWN) return
      const item = row.kind === 'left_out' ? undefined : row.origin.item
      rows.push({ line: i + 1, ...(item !== undefined && { item }), fields: fieldsOf(row) })
    })
  }
  const map = recordMapper(reader, spec)
  if (map && !reader.mapping) {
    // its records are copied whole, so what was used is what the mapping and the reader name
    touched.clear()
    const { rows: at, compiled } = map
    const prefix = at === undefined ? '' : `${at}.`
    for (const name of reader.columns?.(spec.columns) ?? []) touched.add(`${prefix}${name}`)
    const document = watched(sample[0] ?? {}, '', touched)
    for (const record of at === undefined ? [document] : (rowsAt(document, at) ?? [])) {
      if (isRecord(record)) compiled.read({ record, document })
    }
  }
  return {
    path,
    format: spec.format,
    rows,
    mapping: (map?.compiled.fields ?? []).map(([field, { text }]) => [field, text]),
    unused: unusedPaths(sample[0], touched),
    notes: log.notes,
  }
}

const UNKNOWN: ReadonlySet<string> = new Set(['format_unknown', 'column_missing', 'models_unclear'])

/** The record, which notes the path of every value that is read from it. */
function watched<T extends object>(value: T, prefix: string, touched: Set<string>): T {
  return new Proxy(value, {
    get(target, key, receiver) {
      const item: unknown = Reflect.get(target, key, receiver)
      if (typeof key !== 'string' || !Object.hasOwn(target, key)) return item
      const path = Array.isArray(target) ? prefix : `${prefix === '' ? '' : `${prefix}.`}${key}`
      touched.add(path)
      return typeof item === 'object' && item !== null ? watched(item, path, touched) : item
    },
  })
}

/** A path is used if it was read, or a whole that holds it was. */
function unusedPaths(record: RawRecord | undefined, touched: ReadonlySet<string>): string[] {
  if (!record) return []
  const all = [...touched]
  const wholes = all.filter((path) => !all.some((other) => other.startsWith(`${path}.`)))
  const plain = (path: string): string =>
    path.replace(/\["([^"]*)"\]/g, '.$1').replace(/\[\d+\]/g, '')
  const unused = leavesOf(record)
    .map(({ path }) => path)
    .filter((path) => {
      const name = plain(path)
      return (
        !touched.has(name) &&
        !wholes.some((whole) => name === whole || name.startsWith(`${whole}.`))
      )
    })
  return [...new Set(unused)]
}

function fieldsOf(row: LogRow | Reject | LeftOut): (readonly [string, string])[] {
  if (row.kind === 'left_out') return [['left out', row.reason]]
  if (row.kind === 'reject') return [['refused', `${row.field}: ${row.reason}`]]
  const byModel = (map: ReadonlyMap<string, number> | undefined): string =>
    [...(map ?? [])].map(([model, value]) => `${model} ${Number(value.toPrecision(6))}`).join(', ')
  const prompt = typeof row.prompt === 'string' ? row.prompt : JSON.stringify(row.prompt)
  const common = [['prompt', shown(prompt)] as const]
  const fields =
    row.kind === 'outcome'
      ? [
          ['scores', byModel(row.scores)] as const,
          ['costs in dollars', byModel(row.costs)] as const,
          ['answer tokens', byModel(row.tokens)] as const,
        ]
      : [
          ['model a', row.modelA] as const,
          ['model b', row.modelB] as const,
          ['winner', row.winner] as const,
          ['judge', row.judge ?? ''] as const,
        ]
  const time = row.timestamp === undefined ? '' : new Date(row.timestamp * 1000).toISOString()
  const more = [
    ['category', row.category ?? ''] as const,
    ['time', time] as const,
    ['id', (row.id ?? '').replace(/\n/g, ' ')] as const,
    ['group', row.group ?? ''] as const,
  ]
  return [...common, ...fields, ...more].filter(([, value]) => value !== '')
}
