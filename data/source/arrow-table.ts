import { open } from 'node:fs/promises'
import { WeirError } from '../../core/errors.ts'
import type { RawRecord, ReadRecord } from '../rows/reader.ts'
import { openArrow, type RecordBatch } from './arrow.ts'
import { assertColumns } from './lines.ts'
import type { Table } from './table.ts'

const BATCH_ROWS = 4096

/** Logs in Arrow IPC files or streams (Feather v2), read one record batch at a time. */
export async function openArrowTable(path: string): Promise<Table> {
  const arrow = await openArrow()
  async function* batches(): AsyncGenerator<RecordBatch> {
    const handle = await open(path, 'r')
    try {
      const reader = await arrow.RecordBatchReader.from(handle)
      for await (const batch of reader) yield batch as RecordBatch
    } catch (cause) {
      const { code, message } = cause as Partial<WeirError>
      if (cause instanceof WeirError && code)
        throw new WeirError(code, {}, { message: `${path}: ${message}` })
      const reason = `Arrow: ${(cause as Error).message}`
      throw new WeirError('file_unreadable', { path, reason }, { cause })
    } finally {
      await handle.close().catch(() => {})
    }
  }
  const opening = batches()
  const first = await opening.next()
  await opening.return(undefined)
  const columns = first.done ? [] : first.value.schema.fields.map((field) => String(field.name))
  assertColumns(path, columns.length)
  return {
    columns: new Set(columns),
    async sample(limit) {
      if (first.done) return []
      return rowsOf(first.value, columns, 0, Math.min(limit, first.value.numRows))
    },
    async *records(wanted) {
      let rowGroup = 0
      for await (const batch of batches()) {
        for (let from = 0; from < batch.numRows; from += BATCH_ROWS) {
          const end = Math.min(from + BATCH_ROWS, batch.numRows)
          const rows = rowsOf(batch, wanted ?? columns, from, end)
          yield rows.map((record, i): ReadRecord => ({ record, line: from + i + 1, rowGroup }))
        }
        rowGroup++
      }
    },
    close: async () => {},
  }
}

function rowsOf(
  batch: RecordBatch,
  columns: readonly string[],
  start: number,
  end: number,
): RawRecord[] {
  const records: Record<string, unknown>[] = []
  for (let i = start; i < end; i++) records.push(Object.create(null))
  for (const name of columns) {
    const vector = batch.getChild(name)
    if (!vector) continue
    for (let i = start; i < end; i++) records[i - start]![name] = plain(vector.get(i))
  }
  return records
}

/** Converts Arrow's rows, vectors and big numbers to plain values. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (typeof value !== 'object' || value === null) return value
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    const json: unknown = value.toJSON()
    if (Array.isArray(json)) return json.map(plain)
    if (typeof json === 'object' && json !== null) {
      return Object.fromEntries(Object.entries(json).map(([key, item]) => [key, plain(item)]))
    }
    return json
  }
  return Array.isArray(value) ? value.map(plain) : value
}
