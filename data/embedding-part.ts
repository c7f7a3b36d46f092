import { rename, rm, writeFile } from 'node:fs/promises'
import { arrowBytes, type Batch, type BlobColumn, type ReadBatch, readArrow } from './arrow.ts'

/** One prompt's embedding: `values` of a dense one, `ids` ascending with their `values` of a sparse one. */
export interface CachedRow {
  readonly values: Float32Array
  readonly ids?: Uint32Array
  readonly truncated: boolean
}

/** Rows of one part by prompt hash (hex). */
export type PartRows = ReadonlyMap<string, CachedRow>

/** Reads a part; an absent one is empty. */
export async function readPart(path: string): Promise<Map<string, CachedRow>> {
  const rows = new Map<string, CachedRow>()
  try {
    for await (const batch of readArrow(path)) {
      const hashes = Buffer.from(batch.bytes('hash').bytes)
      const truncated = batch.numbers('truncated', Uint8Array)
      const row = rowReader(batch)
      for (let i = 0; i < batch.rows; i++) {
        const hash = hashes.toString('hex', i * 32, (i + 1) * 32)
        rows.set(hash, { ...row(i), truncated: truncated[i] === 1 })
      }
    }
  } catch (error) {
    if ((error as { code?: unknown }).code === 'file_not_found') return rows
    throw error
  }
  return rows
}

type Values = Pick<CachedRow, 'values' | 'ids'>

function rowReader(batch: ReadBatch): (i: number) => Values {
  if (batch.has('vector')) {
    const { width, values } = batch.vectors('vector')
    return (i) => ({ values: values.slice(i * width, (i + 1) * width) })
  }
  const ids = batch.blob('ids')
  const weights = batch.blob('weights')
  return (i) => ({
    ids: new Uint32Array(ids.bytes.slice(ids.offsets[i], ids.offsets[i + 1]).buffer),
    values: new Float32Array(
      weights.bytes.slice(weights.offsets[i], weights.offsets[i + 1]).buffer,
    ),
  })
}

/** Writes a part whole, its rows in the order of their hashes: the same rows are the same bytes. */
export async function writePart(path: string, rows: PartRows): Promise<void> {
  const partial = `${path}.${process.pid}.partial`
  try {
    await writeFile(partial, await arrowBytes(partBatch(rows)))
    await rename(partial, path)
  } finally {
    await rm(partial, { force: true })
  }
}

function partBatch(rows: PartRows): Batch {
  const hashes = [...rows.keys()].sort()
  const sorted = hashes.map((hash) => rows.get(hash)!)
  const columns: Batch['columns'] = {
    hash: { kind: 'bytes', width: 32, bytes: Buffer.from(hashes.join(''), 'hex') },
    truncated: Uint8Array.from(sorted, (row) => (row.truncated ? 1 : 0)),
  }
  const first = sorted[0]
  if (first && first.ids === undefined) {
    const width = first.values.length
    const values = new Float32Array(width * sorted.length)
    sorted.forEach((row, i) => {
      values.set(row.values, i * width)
    })
    return {
      rows: sorted.length,
      columns: { ...columns, vector: { kind: 'vector', width, values } },
    }
  }
  return {
    rows: sorted.length,
    columns: {
      ...columns,
      ids: blob(sorted.map((row) => row.ids ?? new Uint32Array(0))),
      weights: blob(sorted.map((row) => row.values)),
    },
  }
}

function blob(arrays: readonly (Uint32Array | Float32Array)[]): BlobColumn {
  const offsets = new Int32Array(arrays.length + 1)
  arrays.forEach((array, i) => {
    offsets[i + 1] = offsets[i]! + array.byteLength
  })
  const bytes = new Uint8Array(offsets[arrays.length]!)
  arrays.forEach((array, i) => {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), offsets[i])
  })
  return { kind: 'blob', offsets, bytes }
}
