import { type FileHandle, open } from 'node:fs/promises'
import type { AsyncBuffer, Compressors, FileMetaData } from 'hyparquet'
import { WeirError } from '../../core/errors.ts'
import type { RawRecord, ReadRecord, RecordStream } from '../rows/reader.ts'
import { assertColumns } from './lines.ts'
import type { Expansion } from './source.ts'
import type { Table } from './table.ts'

const BATCH_ROWS = 4096

/**
 * The only import of hyparquet. Reads one row group at a time and only the requested columns. Throws
 * `file_unreadable` if the file is truncated or not Parquet.
 */
export async function openParquet(path: string, expansion: Expansion): Promise<Table> {
  const { parquetMetadataAsync, parquetSchema } = await import('hyparquet')
  const handle = await open(path, 'r')
  try {
    const file = await fileBuffer(handle)
    const metadata = await guard(path, () => parquetMetadataAsync(file))
    const columns = parquetSchema(metadata).children.map((child) => child.element.name)
    assertColumns(path, columns.length)
    return {
      columns: new Set(columns),
      async sample(limit) {
        const first = metadata.row_groups[0]
        if (!first) return []
        const end = Math.min(limit, Number(first.num_rows))
        return guard(path, async () => readRows(file, metadata, await counted(expansion), 0, end))
      },
      records: (wanted) => records(path, file, metadata, expansion, wanted),
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function* records(
  path: string,
  file: AsyncBuffer,
  metadata: FileMetaData,
  expansion: Expansion,
  columns?: readonly string[],
): RecordStream & AsyncGenerator<readonly ReadRecord[]> {
  const compressors = await counted(expansion)
  let start = 0
  for (const [rowGroup, { num_rows }] of metadata.row_groups.entries()) {
    const end = start + Number(num_rows)
    const rows = await guard(path, () => readRows(file, metadata, compressors, start, end, columns))
    for (let from = 0; from < rows.length; from += BATCH_ROWS) {
      const batch = rows.slice(from, from + BATCH_ROWS)
      yield batch.map((record, i) => ({ record, line: from + i + 1, rowGroup }))
    }
    start = end
  }
}

async function readRows(
  file: AsyncBuffer,
  metadata: FileMetaData,
  compressors: Compressors,
  rowStart: number,
  rowEnd: number,
  columns?: readonly string[],
): Promise<RawRecord[]> {
  const { parquetReadObjects } = await import('hyparquet')
  return parquetReadObjects({
    file,
    metadata,
    compressors,
    rowStart,
    rowEnd,
    useOffsetIndex: true,
    ...(columns && { columns: [...columns] }),
  })
}

/** The codecs, with each page counted before it is allocated. */
async function counted(expansion: Expansion): Promise<Compressors> {
  const { compressors: codecs } = await import('hyparquet-compressors')
  let read = 0
  expansion.restart()
  return Object.fromEntries(
    Object.entries(codecs).map(([name, decompress]) => [
      name,
      (input: Uint8Array, outputLength: number) => {
        read += input.length
        expansion.add(outputLength, read)
        return decompress!(input, outputLength)
      },
    ]),
  )
}

async function fileBuffer(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat()
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = new Uint8Array(Math.max(0, end - start))
      let at = 0
      while (at < bytes.length) {
        const { bytesRead } = await handle.read(bytes, at, bytes.length - at, start + at)
        if (bytesRead === 0) break
        at += bytesRead
      }
      return bytes.buffer.slice(0, at)
    },
  }
}

async function guard<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof WeirError) throw cause
    const reason = `Parquet: ${(cause as Error).message}`
    throw new WeirError('file_unreadable', { path, reason }, { cause })
  }
}

const ROW_GROUP_ROWS = 50_000

/** Writes rows to a file (snappy), holding one row group in memory. Every column may be null. */
export async function writeParquet(
  path: string,
  columns: Readonly<Record<string, 'STRING' | 'DOUBLE'>>,
  rows: AsyncIterable<Readonly<Record<string, unknown>>>,
): Promise<void> {
  const { fileWriter, parquetWriteRows } = await import('hyparquet-writer')
  await parquetWriteRows({
    writer: fileWriter(path),
    rows,
    rowGroupSize: ROW_GROUP_ROWS,
    columns: Object.entries(columns).map(([name, type]) => ({ name, type, nullable: true })),
  })
}
