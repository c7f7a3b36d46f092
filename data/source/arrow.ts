import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import type * as Arrow from 'apache-arrow'
import { WeirError } from '../../core/errors.ts'
import { decodeLz4Frames } from './lz4.ts'
import { loadZstd } from './source.ts'

/** The only import of apache-arrow: files of record batches, columns as typed arrays. */
export type ArrowModule = typeof Arrow
export type RecordBatch = Arrow.RecordBatch

export async function openArrow(): Promise<ArrowModule> {
  const arrow = await import('apache-arrow')
  const { compressionRegistry: codecs, CompressionType } = arrow
  if (!codecs.get(CompressionType.LZ4_FRAME)) {
    const zstd = await loadZstd()
    codecs.set(CompressionType.LZ4_FRAME, { decode: decodeLz4Frames })
    codecs.set(CompressionType.ZSTD, { decode: zstd })
  }
  return arrow
}

/** Variable-length UTF-8 or bytes: row i is `bytes[offsets[i]..offsets[i+1])`. */
export interface TextColumn {
  readonly kind: 'text'
  readonly offsets: Int32Array
  readonly bytes: Uint8Array
}

/** Bytes of any length: row i is `bytes[offsets[i]..offsets[i+1])`. */
export interface BlobColumn {
  readonly kind: 'blob'
  readonly offsets: Int32Array
  readonly bytes: Uint8Array
}

/** `width` bytes per row. */
export interface BytesColumn {
  readonly kind: 'bytes'
  readonly width: number
  readonly bytes: Uint8Array
}

/** `width` numbers per row, row-major. */
export interface VectorColumn {
  readonly kind: 'vector'
  readonly width: number
  readonly values: Float32Array
}

export type NumberColumn = Uint8Array | Int32Array | Uint32Array | Float32Array | Float64Array
export type Column = NumberColumn | TextColumn | BlobColumn | BytesColumn | VectorColumn

/**
 * One record batch, with the same number of rows in every column. In Float32 and Float64 columns NaN is null.
 */
export interface Batch {
  readonly rows: number
  readonly columns: Readonly<Record<string, Column>>
}

/** Writes an Arrow IPC file (Feather v2), one batch at a time. */
export interface ArrowWriter {
  /** Await this: it waits while the disk is behind. */
  write(batch: Batch): Promise<void>
  /** Ends the file. Without any batch it is empty and not a valid Arrow file. */
  close(): Promise<void>
  /** Closes the file as it is; does nothing after `close`. */
  abandon(): Promise<void>
}

/** Throws `file_unwritable` if the file cannot be written. */
export async function openArrowWriter(path: string): Promise<ArrowWriter> {
  const arrow = await openArrow()
  const encode = batchEncoder(arrow)
  const stream = arrow.RecordBatchFileWriter.throughNode()
  let failure: WeirError | undefined
  let done: Promise<void> | undefined
  const start = (): Promise<void> =>
    pipeline(stream, createWriteStream(path)).catch((cause: Error) => {
      failure = new WeirError('file_unwritable', { path, reason: cause.message }, { cause })
    })
  const end = async (): Promise<void> => {
    // Arrow's writer cannot be ended before it has begun, and fails when aborted.
    if (done === undefined) return
    stream.end()
    await done
  }
  return {
    async write(batch) {
      done ??= start()
      if (failure) throw failure
      if (!stream.write(encode(batch))) await Promise.race([once(stream, 'drain'), done])
      if (failure) throw failure
    },
    async close() {
      if (done === undefined) await writeFile(path, '')
      await end()
      if (failure) throw failure
    },
    abandon: end,
  }
}

/** Writes a whole file, one batch in memory at a time. */
export async function writeArrow(
  path: string,
  batches: Iterable<Batch> | AsyncIterable<Batch>,
): Promise<void> {
  const writer = await openArrowWriter(path)
  try {
    for await (const batch of batches) await writer.write(batch)
    await writer.close()
  } finally {
    await writer.abandon()
  }
}

/** The bytes of an Arrow IPC file with one batch. */
export async function arrowBytes(batch: Batch): Promise<Uint8Array> {
  const arrow = await openArrow()
  return arrow.RecordBatchFileWriter.writeAll([batchEncoder(arrow)(batch)]).toUint8Array(true)
}

function batchEncoder(arrow: ArrowModule): (batch: Batch) => Arrow.RecordBatch {
  let schema: Arrow.Schema | undefined
  return (batch) => {
    const data = Object.entries(batch.columns).map(
      ([name, column]) => [name, columnData(arrow, column, batch.rows)] as const,
    )
    schema ??= new arrow.Schema(
      data.map(([name, { type }]) =>
        arrow.Field.new({ name, type, nullable: arrow.DataType.isFloat(type) }),
      ),
    )
    const struct = arrow.makeData({
      type: new arrow.Struct(schema.fields),
      length: batch.rows,
      nullCount: 0,
      children: data.map(([, column]) => column),
    })
    return new arrow.RecordBatch(schema, struct)
  }
}

function columnData(arrow: ArrowModule, column: Column, length: number): Arrow.Data {
  if ('kind' in column) {
    if (column.kind === 'text' || column.kind === 'blob') {
      const { offsets, bytes } = column
      const type = column.kind === 'text' ? new arrow.Utf8() : new arrow.Binary()
      return arrow.makeData({
        type: type as Arrow.Utf8,
        length,
        nullCount: 0,
        valueOffsets: offsets.subarray(0, length + 1),
        data: bytes.subarray(0, offsets[length]!),
      })
    }
    if (column.kind === 'bytes') {
      const data = column.bytes.subarray(0, length * column.width)
      const type = new arrow.FixedSizeBinary(column.width)
      return arrow.makeData({ type, length, nullCount: 0, data })
    }
    const item = arrow.Field.new({ name: 'item', type: new arrow.Float32(), nullable: false })
    return arrow.makeData({
      type: new arrow.FixedSizeList(column.width, item),
      length,
      nullCount: 0,
      child: arrow.makeData({
        type: new arrow.Float32(),
        length: length * column.width,
        nullCount: 0,
        data: column.values.subarray(0, length * column.width),
      }),
    })
  }
  if (column instanceof Uint8Array) {
    return arrow.makeData({ type: new arrow.Uint8(), length, nullCount: 0, data: column })
  }
  if (column instanceof Int32Array) {
    return arrow.makeData({ type: new arrow.Int32(), length, nullCount: 0, data: column })
  }
  if (column instanceof Uint32Array) {
    return arrow.makeData({ type: new arrow.Uint32(), length, nullCount: 0, data: column })
  }
  const { nullBitmap, nullCount } = nullsOf(column)
  const type = column instanceof Float32Array ? new arrow.Float32() : new arrow.Float64()
  return arrow.makeData({
    type,
    length,
    nullCount,
    data: column,
    ...(nullCount > 0 && { nullBitmap }),
  } as Parameters<ArrowModule['makeData']>[0])
}

function nullsOf(values: Float32Array | Float64Array): {
  nullBitmap: Uint8Array
  nullCount: number
} {
  const nullBitmap = new Uint8Array(Math.ceil(values.length / 64) * 8)
  let nullCount = 0
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) nullCount++
    else nullBitmap[i >> 3]! |= 1 << (i & 7)
  }
  return { nullBitmap, nullCount }
}

/** A batch read back; a column that is missing or of another kind throws `dataset_invalid`. */
export interface ReadBatch {
  readonly rows: number
  has(name: string): boolean
  numbers<T extends NumberColumn>(name: string, kind: new (length: number) => T): T
  text(name: string): TextColumn
  blob(name: string): BlobColumn
  bytes(name: string): BytesColumn
  vectors(name: string): VectorColumn
}

const WHOLE_BYTES = 16 << 20

/**
 * Reads an Arrow IPC file batch by batch. Throws `file_not_found`, or `dataset_invalid` for anything else.
 */
export async function* readArrow(path: string): AsyncGenerator<ReadBatch> {
  const arrow = await openArrow()
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  try {
    // Small files are read at once: many small reads cost more than the memory.
    const { size } = await handle.stat()
    if (size === 0) return
    if (size <= WHOLE_BYTES) {
      const bytes = await handle.readFile()
      for (const batch of arrow.RecordBatchReader.from(bytes)) yield asReadBatch(path, batch)
    } else {
      const reader = await arrow.RecordBatchReader.from(handle)
      for await (const batch of reader) yield asReadBatch(path, batch as Arrow.RecordBatch)
    }
  } catch (cause) {
    if (cause instanceof WeirError) throw cause
    throw new WeirError('dataset_invalid', { path, reason: (cause as Error).message }, { cause })
  } finally {
    await handle.close().catch(() => {})
  }
}

function asReadBatch(path: string, batch: Arrow.RecordBatch): ReadBatch {
  const find = (name: string): Arrow.Data => {
    const index = batch.schema.fields.findIndex((field) => field.name === name)
    const data = batch.data.children[index]
    if (!data) throw new WeirError('dataset_invalid', { path, reason: `it has no column ${name}` })
    return data
  }
  const wrong = (name: string, data: Arrow.Data): never => {
    throw new WeirError('dataset_invalid', { path, reason: `column ${name} is ${data.type}` })
  }
  return {
    rows: batch.numRows,
    has: (name) => batch.schema.fields.some((field) => field.name === name),
    numbers(name, kind) {
      const data = find(name)
      if (!(data.values instanceof kind)) return wrong(name, data)
      return data.values.subarray(0, data.length) as InstanceType<typeof kind>
    },
    text(name) {
      const data = find(name)
      if (!(data.valueOffsets instanceof Int32Array)) return wrong(name, data)
      return { kind: 'text', offsets: data.valueOffsets, bytes: data.values as Uint8Array }
    },
    blob(name) {
      const data = find(name)
      if (!(data.valueOffsets instanceof Int32Array)) return wrong(name, data)
      return { kind: 'blob', offsets: data.valueOffsets, bytes: data.values as Uint8Array }
    },
    bytes(name) {
      const data = find(name)
      if (!('byteWidth' in data.type)) return wrong(name, data)
      const width = (data.type as Arrow.FixedSizeBinary).byteWidth
      return { kind: 'bytes', width, bytes: data.values as Uint8Array }
    },
    vectors(name) {
      const data = find(name)
      const values = data.children[0]?.values
      if (!(values instanceof Float32Array)) return wrong(name, data)
      return { kind: 'vector', width: (data.type as Arrow.FixedSizeList).listSize, values }
    },
  }
}
