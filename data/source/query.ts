import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DuckDBConnection, DuckDBInstance, DuckDBResult, JS } from '@duckdb/node-api'
import { throwIfAborted } from '../../core/abort.ts'
import { WeirError } from '../../core/errors.ts'
import type { OnProgress } from '../../core/progress.ts'
import type { RawRecord, ReadRecord } from '../rows/reader.ts'
import type { Table } from './table.ts'

export interface QueryOption {
  /** one SELECT in DuckDB's SQL, over files such as `read_parquet('exports/*.parquet')` */
  readonly sql: string
  /** lets DuckDB download extensions (s3://, PostgreSQL) from its site; off by default */
  readonly installExtensions?: boolean | undefined
}

/** What a query's rows are called in messages, instead of a file. */
export const QUERY_PATH = '(query)'

/** DuckDB's own memory; what does not fit goes to a temporary folder. */
const MEMORY = '1GB'
const WATCH_MILLISECONDS = 200

/**
 * The rows of an SQL query as a table, streamed: DuckDB filters, joins, aggregates and samples, and only what
 * it selects is read. Lists, structs, maps and JSON columns become lists and objects. A row's line is its
 * number in the result.
 *
 * @throws module_missing; query_failed if it is not one SELECT, or DuckDB refuses it
 */
export async function openQuery(
  { sql, installExtensions = false }: QueryOption,
  { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: OnProgress | undefined },
): Promise<Table> {
  const { DuckDBInstance, StatementType, DuckDBTypeId } = await duckdb()
  const folder = await mkdtemp(join(tmpdir(), 'weir-query-'))
  let instance: DuckDBInstance | undefined
  let connection: DuckDBConnection | undefined
  let waits = true
  // looked at again and again: an interruption between two statements is lost
  const timer = setInterval(() => {
    if (!connection) return
    if (signal?.aborted) connection.interrupt()
    const { percentage } = connection.progress
    if (waits && percentage >= 0) {
      onProgress?.({ stage: 'query', done: Math.floor(percentage), total: 100 })
    }
  }, WATCH_MILLISECONDS)
  const close = async (): Promise<void> => {
    clearInterval(timer)
    connection?.closeSync()
    instance?.closeSync()
    await rm(folder, { recursive: true, force: true })
  }
  const attempt = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (cause) {
      throwIfAborted(signal)
      throw cause instanceof WeirError ? cause : failed((cause as Error).message, cause)
    }
  }
  try {
    const extensions = String(installExtensions)
    const opened = await attempt(async () => {
      instance = await DuckDBInstance.create(':memory:', {
        memory_limit: MEMORY,
        threads: String(Math.min(4, availableParallelism())),
        temp_directory: folder,
        autoinstall_known_extensions: extensions,
        autoload_known_extensions: extensions,
      })
      return await instance.connect()
    })
    connection = opened
    const result = await attempt(async () => {
      if (sql.trim() === '') throw failed('expected one SELECT, got 0 statements')
      const statements = await opened.extractStatements(sql)
      if (statements.count !== 1)
        throw failed(`expected one SELECT, got ${statements.count} statements`)
      const statement = await statements.prepare(0)
      if (statement.statementType !== StatementType.SELECT) throw failed('expected a SELECT')
      return await statement.stream()
    })
    const plain = plainColumns(result, DuckDBTypeId.MAP)
    const batches = resultBatches(result, plain)[Symbol.asyncIterator]()
    const next = async (): Promise<IteratorResult<readonly ReadRecord[]>> => {
      const batch = await attempt(() => batches.next())
      waits = false
      return batch
    }
    return tableOf(new Set(result.columnNames()), next, close)
  } catch (error) {
    await close()
    throw error
  }
}

const failed = (reason: string, cause?: unknown): WeirError =>
  new WeirError('query_failed', { reason }, { cause })

async function duckdb(): Promise<typeof import('@duckdb/node-api')> {
  try {
    return await import('@duckdb/node-api')
  } catch (cause) {
    const reason = 'npm i @duckdb/node-api'
    const module = '@duckdb/node-api'
    throw new WeirError('module_missing', { what: '--query', module, reason }, { cause })
  }
}

type Plain = (value: JS) => unknown

/** For columns of maps and JSON: how a value becomes an object. */
function plainColumns(result: DuckDBResult, map: number): ReadonlyMap<string, Plain> {
  const found = new Map<string, Plain>()
  for (const [i, name] of result.columnNames().entries()) {
    const type = result.columnType(i)
    if (type.typeId === map) found.set(name, mapObject)
    else if (type.alias === 'JSON') found.set(name, jsonValue)
  }
  return found
}

const mapObject: Plain = (entries) =>
  Array.isArray(entries)
    ? Object.fromEntries(
        entries.map((entry) => {
          const { key, value } = entry as { key: JS; value: JS }
          return [String(key), value]
        }),
      )
    : entries

const jsonValue: Plain = (text) => (typeof text === 'string' ? JSON.parse(text) : text)

async function* resultBatches(
  result: DuckDBResult,
  plain: ReadonlyMap<string, Plain>,
): AsyncGenerator<readonly ReadRecord[]> {
  let line = 0
  for await (const rows of result.yieldRowObjectJs()) {
    yield rows.map((row) => {
      const record: Record<string, unknown> = row
      for (const [name, convert] of plain) record[name] = convert(row[name]!)
      return { record, line: ++line }
    })
  }
}

function tableOf(
  columns: ReadonlySet<string>,
  next: () => Promise<IteratorResult<readonly ReadRecord[]>>,
  close: () => Promise<void>,
): Table {
  const held: (readonly ReadRecord[])[] = []
  return {
    columns,
    async sample(limit) {
      const sample: RawRecord[] = []
      while (sample.length < limit) {
        const { done, value } = await next()
        if (done) break
        held.push(value)
        for (const item of value) {
          if ('record' in item && sample.length < limit) sample.push(item.record)
        }
      }
      return sample
    },
    async *records() {
      while (held.length > 0) yield held.shift()!
      for (let item = await next(); !item.done; item = await next()) yield item.value
    },
    close,
  }
}
