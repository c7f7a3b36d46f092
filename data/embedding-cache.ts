import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../core/abort.ts'
import { definedOnly } from '../core/defined.ts'
import { WeirError } from '../core/errors.ts'
import { makeFolders, removePartials, writeWhole } from '../core/files.ts'
import { promptHash } from '../core/hash.ts'
import { withLock } from '../core/lock.ts'
import type { OnProgress } from '../core/progress.ts'
import type { Embeddings } from '../models/encoders/embeddings.ts'
import type { Encoded, Encoder, EncoderSpec } from '../models/encoders/encoder.ts'
import {
  arrowBytes,
  type Batch,
  type BlobColumn,
  type ReadBatch,
  readArrow,
} from './source/arrow.ts'

/** One part of the work: `0/4` is the first of four. */
export interface Shard {
  readonly index: number
  readonly of: number
}

export interface EncodeOptions {
  /** the cache; each encoder has a separate folder in it */
  readonly folder: string
  readonly shard?: Shard
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

export interface EncodeSummary {
  /** the folder with this encoder's parts */
  readonly folder: string
  /** number of prompts in this shard, and how many of them had to be encoded now */
  readonly prompts: number
  readonly encoded: number
}

/** A part is written in a moment; this is for a disk that hangs. */
const LOCK_MS = 60_000
/** Another process may remove parts between writing and reading them (`weir cache`): then they are encoded again. */
const READ_ATTEMPTS = 3

/** Minimum number of prompts per encoder call; the parts they fill are written after each batch. */
const BATCH_PROMPTS = 1024

/**
 * Ensures that every prompt's embedding is in the cache. A part holds the prompts whose hash starts with its
 * name, and is written atomically, with what other processes have added to it meanwhile. Prompts encoded before are
 * not encoded again, an interrupted run resumes where it stopped, and shards fill the same folder (or folders to be merged by copying) with exactly the
 * bytes of a single run.
 */
export async function encodeToCache(
  prompts: readonly string[],
  encoder: Encoder,
  { folder, shard, signal, onProgress }: EncodeOptions,
): Promise<EncodeSummary> {
  const home = await openFolder(folder, encoder.spec)
  const wanted = byPart(prompts, shard)
  const total = [...wanted.values()].reduce((sum, part) => sum + part.size, 0)
  let done = 0
  let encoded = 0
  let pending: Part[] = []
  const encodePending = async (): Promise<void> => {
    const texts = pending.flatMap((part) => [...part.missing.values()])
    const rows = rowsOf(await encoder.encode(texts, signal))
    let at = 0
    for (const { name, known, missing } of pending) {
      for (const hash of missing.keys()) known.set(hash, rows(at++))
      await addToPart(home, name, known)
      done += missing.size
      encoded += missing.size
      onProgress?.({ stage: 'encoding', done, total })
    }
    pending = []
  }
  for (const [name, texts] of wanted) {
    throwIfAborted(signal)
    const known = await readPart(join(home, name))
    const missing = new Map([...texts].filter(([hash]) => !known.has(hash)))
    done += texts.size - missing.size
    if (missing.size === 0) continue
    pending.push({ name, known, missing })
    if (pending.reduce((sum, part) => sum + part.missing.size, 0) >= BATCH_PROMPTS) {
      await encodePending()
    }
  }
  if (pending.length > 0) await encodePending()
  return { folder: home, prompts: total, encoded }
}

/** Wraps the encoder: rows it has computed before come from the cache, and new ones are added to it. */
export function withEmbeddingCache(
  encoder: Encoder,
  folder: string,
  onProgress?: OnProgress,
): Encoder {
  return {
    spec: encoder.spec,
    ...(encoder.featureNames && { featureNames: (prompt) => encoder.featureNames!(prompt) }),
    ...(encoder.close && { close: () => encoder.close!() }),
    async encode(prompts, signal) {
      for (let attempt = 1; ; attempt++) {
        await encodeToCache(prompts, encoder, definedOnly({ folder, signal, onProgress }))
        try {
          return await readFromCache(prompts, encoder.spec, folder)
        } catch (error) {
          if (attempt === READ_ATTEMPTS) throw error
        }
      }
    },
  }
}

/** The prompts' embeddings in order. Throws `dataset_invalid` if one was never encoded. */
export async function readFromCache(
  prompts: readonly string[],
  spec: EncoderSpec,
  folder: string,
): Promise<Encoded> {
  const home = join(folder, folderName(spec.id))
  const rows: CachedRow[] = new Array(prompts.length)
  const places = new Map<string, number[]>()
  prompts.forEach((text, i) => {
    const hash = promptHash(text)
    places.set(hash, [...(places.get(hash) ?? []), i])
  })
  for (const [name, texts] of byPart(prompts)) {
    const part = await readPart(join(home, name))
    for (const hash of texts.keys()) {
      const row = part.get(hash)
      if (!row) {
        const reason = `it has no embedding of prompt ${hash.slice(0, 16)}... by ${spec.id}`
        throw new WeirError('dataset_invalid', { path: home, reason })
      }
      for (const i of places.get(hash)!) rows[i] = row
    }
  }
  return joined(rows, spec)
}

interface Part {
  readonly name: string
  readonly known: Map<string, CachedRow>
  /** texts by hash */
  readonly missing: ReadonlyMap<string, string>
}

/** Texts by hash, grouped by part, both in order. */
function byPart(prompts: readonly string[], shard?: Shard): Map<string, Map<string, string>> {
  const hashed = prompts.map((text) => ({ text, hash: promptHash(text) }))
  hashed.sort((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0))
  const parts = new Map<string, Map<string, string>>()
  for (const { text, hash } of hashed) {
    const prefix = hash.slice(0, 2)
    if (shard && Number.parseInt(prefix, 16) % shard.of !== shard.index) continue
    const name = `${prefix}.arrow`
    const part = parts.get(name) ?? new Map<string, string>()
    part.set(hash, text)
    parts.set(name, part)
  }
  return parts
}

/** The encoder's folder, created if needed; throws `dataset_invalid` if it belongs to another encoder. */
async function openFolder(folder: string, spec: EncoderSpec): Promise<string> {
  const home = join(folder, folderName(spec.id))
  makeFolders(home)
  await removePartials(home)
  const path = join(home, 'encoder.json')
  const { id, dimension, output } = spec
  const text = `${JSON.stringify({ format: 1, id, dimension, output }, null, 2)}\n`
  const found = await readFile(path, 'utf8').catch(() => undefined)
  if (found !== undefined && found !== text) {
    const reason = `it holds embeddings of another encoder than ${id}`
    throw new WeirError('dataset_invalid', { path: home, reason })
  }
  if (found === undefined) await writeWhole(path, text, { flush: false })
  return home
}

/** Readable, and distinct for distinct ids. */
function folderName(id: string): string {
  return `${id.replace(/[^\w.-]+/g, '_').slice(0, 80)}-${promptHash(id).slice(0, 8)}`
}

function rowsOf({ embeddings, truncated }: Encoded): (i: number) => CachedRow {
  const of = (i: number): boolean => truncated[i] === 1
  if (embeddings.kind === 'dense') {
    const { dimension: d, values } = embeddings
    return (i) => ({ values: values.slice(i * d, (i + 1) * d), truncated: of(i) })
  }
  const { offsets, ids, weights } = embeddings
  return (i) => ({
    ids: ids.slice(offsets[i], offsets[i + 1]),
    values: weights.slice(offsets[i], offsets[i + 1]),
    truncated: of(i),
  })
}

function joined(rows: readonly CachedRow[], { dimension, output }: EncoderSpec): Encoded {
  const truncated = Uint8Array.from(rows, (row) => (row.truncated ? 1 : 0))
  return {
    embeddings: output === 'dense' ? dense(rows, dimension) : sparse(rows, dimension),
    truncated,
  }
}

function dense(rows: readonly CachedRow[], dimension: number): Embeddings {
  const values = new Float32Array(rows.length * dimension)
  rows.forEach((row, i) => {
    values.set(row.values, i * dimension)
  })
  return { kind: 'dense', rows: rows.length, dimension, values }
}

function sparse(rows: readonly CachedRow[], dimension: number): Embeddings {
  const offsets = new Uint32Array(rows.length + 1)
  rows.forEach((row, i) => {
    offsets[i + 1] = offsets[i]! + row.values.length
  })
  const ids = new Uint32Array(offsets[rows.length]!)
  const weights = new Float32Array(ids.length)
  rows.forEach((row, i) => {
    ids.set(row.ids ?? [], offsets[i])
    weights.set(row.values, offsets[i])
  })
  return { kind: 'sparse', rows: rows.length, dimension, offsets, ids, weights }
}

/** One prompt's embedding: `values` for a dense one; ascending `ids` and their `values` for a sparse one. */
interface CachedRow {
  readonly values: Float32Array
  readonly ids?: Uint32Array
  readonly truncated: boolean
}

/** Rows of one part by prompt hash (hex). */
export type PartRows = ReadonlyMap<string, CachedRow>

/** Reads a part; a missing part is empty. */
async function readPart(path: string): Promise<Map<string, CachedRow>> {
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

/**
 * Writes a part atomically, with the rows that are in its file by now and these, in hash order, so that the same rows
 * give the same bytes.
 */
async function addToPart(home: string, name: string, rows: PartRows): Promise<void> {
  const path = join(home, name)
  await withLock(path, { deadlineMs: LOCK_MS }, async () => {
    const all = new Map([...(await readPart(path)), ...rows])
    await writeWhole(path, await arrowBytes(partBatch(all)), { flush: false })
  })
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
