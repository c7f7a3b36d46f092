import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { firstFault } from '../../core/schema-fault.ts'
import type { DenseEmbeddings, Embeddings, SparseEmbeddings } from './embeddings.ts'
import {
  type Encoded,
  type Encoder,
  type EncoderArtifact,
  type EncoderSpec,
  innerSpec,
} from './encoder.ts'

/** Stands before and after the fields of a reading, and before its text. */
const FRAME = '\u001d'
/** Stands between two fields. */
const FIELD = '\u001f'

/**
 * What a recipe with declared context or conversation features reads of a prompt: its fields, in the recipe's
 * order and empty where there is no value, before its text. Text cannot pass for a field: fields end at the
 * first mark, and marks inside them become spaces.
 */
export function framed(fields: readonly (string | number)[], text: string): string {
  let head = FRAME
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]!
    if (i > 0) head += FIELD
    head += typeof field === 'number' ? field : fieldText(field)
  }
  return head + FRAME + text
}

const fieldText = (field: string): string =>
  field.includes(FRAME) || field.includes(FIELD)
    ? field.replaceAll(FRAME, ' ').replaceAll(FIELD, ' ')
    : field

const isFramed = (reading: string): boolean => reading.charCodeAt(0) === 0x1d

/** The text of a reading with fields. */
export const textOf = (reading: string): string =>
  isFramed(reading) ? reading.slice(reading.indexOf(FRAME, 1) + 1) : reading

/** A reading with other text under the same fields. */
export const withText = (reading: string, text: string): string =>
  isFramed(reading) ? reading.slice(0, reading.indexOf(FRAME, 1) + 1) + text : text

/** The fields of a reading; none if it has no frame. */
export const fieldsOf = (reading: string): string[] =>
  isFramed(reading) ? reading.slice(1, reading.indexOf(FRAME, 1)).split(FIELD) : []

/** A field as explanations name it. */
export const fieldName = (name: string, value: string): string => `[${name}: ${value}]`

/** One field's columns, in the order of the reading's fields. */
export const ContextField = Type.Union([
  Type.Object({
    kind: Type.Literal('number'),
    name: Type.String(),
    mean: Type.Number(),
    /** weight / standard deviation; 0 for a number that did not vary in training */
    scale: Type.Number(),
    /** values outside the range of training count as its ends */
    low: Type.Number(),
    high: Type.Number(),
  }),
  Type.Object({
    kind: Type.Literal('category'),
    name: Type.String(),
    weight: Type.Number(),
    /** of each value that was frequent enough, ascending: first 16 hex digits of SHA-256 of `name=value` */
    values: Type.Array(Type.String({ pattern: '^[0-9a-f]{16}$' })),
    /**
     * weight of the products with the text's plain features: one column per value and feature, after all others, so
     * that a head can learn what length or digits mean for one value; sparse encoders only
     */
    crossed: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
  }),
])
export type ContextField = Type.Static<typeof ContextField>

const ContextFile = Type.Object({ format: Type.Literal(1), fields: Type.Array(ContextField) })
const contextFileCheck = Compile(ContextFile)

export const CONTEXT_FILE = 'encoder/context.json'

/**
 * Identifies a declared value in a bundle, which holds no values themselves: a bundle may be shared more widely
 * than the names of tenants. A value that can be guessed can be checked against it.
 */
export const valueHash = (name: string, value: string): string =>
  createHash('sha256').update(`${name}=${value}`).digest('hex').slice(0, 16)

/**
 * `context`: the columns of declared context and of the conversation, then those of another encoder that reads
 * the text. A value that training has not seen, or too rarely, adds nothing, so it counts as the average.
 */
export function createContextEncoder(
  inner: EncoderArtifact,
  fields: readonly ContextField[],
): EncoderArtifact {
  const bytes = Buffer.from(JSON.stringify({ format: 1, fields }))
  const { spec: own } = inner.encoder
  const hash = createHash('sha256').update(own.id).update(bytes).digest('hex').slice(0, 12)
  const spec: EncoderSpec = {
    kind: 'context',
    id: `context-${hash}`,
    dimension: columnsOf(fields) + own.dimension + crossedColumns(inner.encoder, fields),
    output: own.output,
    files: [CONTEXT_FILE, ...own.files],
    options: { inner: own },
  }
  return {
    encoder: withFields(spec, inner.encoder, fields),
    files: new Map([[CONTEXT_FILE, bytes], ...inner.files]),
  }
}

/** @param load opens the inner encoder from the same bundle */
export async function loadContextEncoder(
  spec: EncoderSpec,
  folder: string,
  load: (inner: EncoderSpec) => Promise<Encoder>,
): Promise<Encoder> {
  const path = join(folder, CONTEXT_FILE)
  const inner = innerSpec(spec, folder)
  const fields = parseFields(await readFile(path, 'utf8'), path)
  const encoder = await load(inner)
  const columns = columnsOf(fields) + crossedColumns(encoder, fields)
  if (spec.dimension !== inner.dimension + columns) {
    await encoder.close?.()
    const reason = `its fields have ${columns} columns, the manifest says ${spec.dimension - inner.dimension}`
    throw new WeirError('bundle_invalid', { path, reason })
  }
  return withFields(spec, encoder, fields)
}

function parseFields(text: string, path: string): readonly ContextField[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const reason = `it is not JSON: ${(cause as Error).message}`
    throw new WeirError('bundle_invalid', { path, reason }, { cause })
  }
  if (contextFileCheck.Check(value)) return value.fields
  const { field, expected, got } = firstFault(contextFileCheck.Errors(value), value)
  const reason = `${field}: expected ${expected}, got ${got}`
  throw new WeirError('bundle_invalid', { path, reason })
}

const columnsOf = (fields: readonly ContextField[]): number =>
  fields.reduce((sum, field) => sum + (field.kind === 'number' ? 1 : field.values.length), 0)

/** Columns of the products of categories and plain features; none over an encoder without sparse plain features. */
function crossedColumns(inner: Encoder, fields: readonly ContextField[]): number {
  const plain = inner.spec.output === 'sparse' ? (inner.plainColumns?.count ?? 0) : 0
  const values = fields.filter(isCrossed).reduce((sum, field) => sum + field.values.length, 0)
  return plain * values
}

const isCrossed = (field: ContextField): field is ContextField & { kind: 'category' } =>
  field.kind === 'category' && field.crossed !== undefined

/** Columns of declared values that were looked up; forgotten when there are too many. */
const KNOWN_VALUES = 10_000

function withFields(spec: EncoderSpec, inner: Encoder, fields: readonly ContextField[]): Encoder {
  const columns = columnsOf(fields)
  const first: number[] = []
  let at = 0
  for (const field of fields) {
    first.push(at)
    at += field.kind === 'number' ? 1 : field.values.length
  }
  const fieldOf = fields.flatMap((field, index) =>
    new Array<number>(field.kind === 'number' ? 1 : field.values.length).fill(index),
  )
  const places = fields.map((field) =>
    field.kind === 'number' ? undefined : new Map(field.values.map((value, i) => [value, i])),
  )
  const known = fields.map(() => new Map<string, number>())
  const plain = inner.plainColumns ?? { from: 0, count: 0 }
  // where the products with the values of a field begin, if it has any
  const firstProduct: number[] = []
  let product = columns + inner.spec.dimension
  for (const field of fields) {
    firstProduct.push(product)
    if (isCrossed(field)) product += plain.count * field.values.length
  }
  const crossings = inner.spec.output === 'sparse' ? fields.filter(isCrossed).length : 0
  /** the most columns that are added to a sparse row */
  const mostAdded = fields.length + crossings * plain.count
  // one request's columns: at most one per field
  const ids = new Uint32Array(fields.length)
  const weights = new Float32Array(fields.length)

  const categoryColumn = (index: number, name: string, value: string): number => {
    const seen = known[index]!
    const column = seen.get(value)
    if (column !== undefined) return column
    const found = places[index]!.get(valueHash(name, value))
    const made = found === undefined ? -1 : first[index]! + found
    if (seen.size >= KNOWN_VALUES) seen.clear()
    seen.set(value, made)
    return made
  }

  /** Writes the columns of a reading's fields; returns how many. */
  const write = (reading: string): number => {
    if (!isFramed(reading)) return 0
    const end = reading.indexOf(FRAME, 1)
    let count = 0
    let from = 1
    for (let index = 0; index < fields.length && from <= end; index++) {
      let to = reading.indexOf(FIELD, from)
      if (to < 0 || to > end) to = end
      const field = fields[index]!
      if (to > from) {
        const value = reading.slice(from, to)
        if (field.kind === 'number') {
          const number = Number(value)
          if (field.scale !== 0 && Number.isFinite(number)) {
            const inRange = Math.min(Math.max(number, field.low), field.high)
            ids[count] = first[index]!
            weights[count++] = (inRange - field.mean) * field.scale
          }
        } else {
          const column = categoryColumn(index, field.name, value)
          if (column >= 0) {
            ids[count] = column
            weights[count++] = field.weight
          }
        }
      }
      from = to + 1
    }
    return count
  }

  /** Appends the products of the fields just written and a row's plain features; returns where they end. */
  const writeProducts = (
    count: number,
    row: SparseEmbeddings,
    index: number,
    to: { readonly ids: Uint32Array; readonly weights: Float32Array; readonly from: number },
  ): number => {
    let at = to.from
    if (crossings === 0) return at
    for (let i = 0; i < count; i++) {
      const column = ids[i]!
      const place = fieldOf[column]!
      const field = fields[place]!
      if (!isCrossed(field)) continue
      const start = firstProduct[place]! + plain.count * (column - first[place]!)
      for (let j = row.offsets[index + 1]! - 1; j >= row.offsets[index]!; j--) {
        const feature = row.ids[j]! - plain.from
        // the plain features are a row's last columns
        if (feature < 0) break
        if (feature >= plain.count) continue
        to.ids[at] = start + feature
        to.weights[at++] = row.weights[j]! * field.crossed!
      }
    }
    return at
  }

  let ownIds = new Uint32Array(0)
  let ownWeights = new Float32Array(0)
  const ownOffsets = new Uint32Array(2)

  /** One sparse row with its fields before it, in arrays that the next call reuses. */
  const prefixed = (reading: string, row: SparseEmbeddings): SparseEmbeddings => {
    const length = row.offsets[1]!
    if (length + mostAdded > ownIds.length) {
      ownIds = new Uint32Array(2 * (length + mostAdded))
      ownWeights = new Float32Array(ownIds.length)
    }
    const count = write(reading)
    for (let i = 0; i < count; i++) {
      ownIds[i] = ids[i]!
      ownWeights[i] = weights[i]!
    }
    for (let i = 0; i < length; i++) {
      ownIds[count + i] = row.ids[i]! + columns
      ownWeights[count + i] = row.weights[i]!
    }
    ownOffsets[1] = writeProducts(count, row, 0, {
      ids: ownIds,
      weights: ownWeights,
      from: count + length,
    })
    return {
      kind: 'sparse',
      rows: 1,
      dimension: spec.dimension,
      offsets: ownOffsets,
      ids: ownIds,
      weights: ownWeights,
    }
  }

  const sparseRows = (readings: readonly string[], rows: SparseEmbeddings): SparseEmbeddings => {
    const offsets = new Uint32Array(rows.rows + 1)
    const size = rows.offsets[rows.rows]! + rows.rows * mostAdded
    const allIds = new Uint32Array(size)
    const allWeights = new Float32Array(size)
    let to = 0
    readings.forEach((reading, row) => {
      const count = write(reading)
      allIds.set(ids.subarray(0, count), to)
      allWeights.set(weights.subarray(0, count), to)
      to += count
      for (let j = rows.offsets[row]!; j < rows.offsets[row + 1]!; j++) {
        allIds[to] = rows.ids[j]! + columns
        allWeights[to++] = rows.weights[j]!
      }
      to = writeProducts(count, rows, row, { ids: allIds, weights: allWeights, from: to })
      offsets[row + 1] = to
    })
    return {
      kind: 'sparse',
      rows: rows.rows,
      dimension: spec.dimension,
      offsets,
      ids: allIds.subarray(0, to),
      weights: allWeights.subarray(0, to),
    }
  }

  const denseRows = (readings: readonly string[], rows: DenseEmbeddings): DenseEmbeddings => {
    const { dimension } = spec
    const values = new Float32Array(rows.rows * dimension)
    readings.forEach((reading, row) => {
      const count = write(reading)
      for (let i = 0; i < count; i++) values[row * dimension + ids[i]!] = weights[i]!
      const own = rows.values.subarray(row * rows.dimension, (row + 1) * rows.dimension)
      values.set(own, row * dimension + columns)
    })
    return { kind: 'dense', rows: rows.rows, dimension, values }
  }

  const joinedRows = (readings: readonly string[], rows: Embeddings): Embeddings =>
    rows.kind === 'sparse' ? sparseRows(readings, rows) : denseRows(readings, rows)

  const { encodeNow } = inner
  return {
    spec,
    async encode(readings, signal): Promise<Encoded> {
      const { embeddings, truncated } = await inner.encode(readings.map(textOf), signal)
      return { embeddings: joinedRows(readings, embeddings), truncated }
    },
    ...(encodeNow && {
      encodeNow(reading) {
        const { embeddings, truncated } = encodeNow(textOf(reading))
        return {
          embeddings:
            embeddings.kind === 'sparse'
              ? prefixed(reading, embeddings)
              : denseRows([reading], embeddings),
          truncated,
        }
      },
    }),
    fieldNames: fields.map(({ name }) => name),
    featureNames(reading) {
      const named = new Map<number, string>()
      for (const [column, name] of inner.featureNames?.(textOf(reading)) ?? []) {
        named.set(column + columns, name)
      }
      const given = fieldsOf(reading)
      fields.forEach((field, index) => {
        const value = given[index]
        if (value === undefined || value === '') return
        if (field.kind === 'number') named.set(first[index]!, fieldName(field.name, value))
        else {
          const column = categoryColumn(index, field.name, value)
          if (column < 0) return
          named.set(column, fieldName(field.name, value))
          if (crossings === 0 || !isCrossed(field)) return
          const start = firstProduct[index]! + plain.count * (column - first[index]!)
          for (let feature = 0; feature < plain.count; feature++) {
            const name = named.get(columns + plain.from + feature)
            if (name) named.set(start + feature, `${fieldName(field.name, value)} ${name}`)
          }
        }
      })
      return named
    },
    close: async () => inner.close?.(),
  }
}
