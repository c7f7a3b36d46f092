import { join } from 'node:path'
import type { OnProgress } from '../../../core/progress.ts'
import { cacheFolder } from '../../../models/encoders/cache.ts'
import { makeNamedEncoder } from '../../../models/encoders/registry.ts'
import { GraphBuilder } from '../../../models/onnx/builder.ts'
import { encodeOnnx } from '../../../models/onnx/encode.ts'
import { createSession, openOrt } from '../../../models/onnx/session.ts'
import { storedEmbeddings } from '../encoder-store.ts'

const NEIGHBOURS = 100
const SHARPNESS = 10
const BINS = 2048

/**
 * Mean gain of each prompt's nearest prompts in other folds, by the cosine of `use-lite` embeddings, weighted
 * exponentially. Throws `encoder_unavailable` if that encoder's package is not installed.
 */
export async function neighbourGains(
  prompts: readonly string[],
  gain: Float64Array,
  fold: Int32Array,
  onProgress: OnProgress,
): Promise<Float64Array> {
  const cache = cacheFolder(process.env)
  const { encoder } = await makeNamedEncoder('use-lite', { cacheFolder: cache })
  try {
    const { values, dimension } = await storedEmbeddings(
      encoder,
      prompts,
      join(cache, 'eval'),
      onProgress,
    )
    normaliseRows(values, dimension)
    return await heldOutMeans(values, dimension, gain, fold)
  } finally {
    await encoder.close?.()
  }
}

async function heldOutMeans(
  values: Float32Array,
  d: number,
  gain: Float64Array,
  fold: Int32Array,
): Promise<Float64Array> {
  const ort = await openOrt()
  const builder = new GraphBuilder()
  const inputs = [builder.input('a', 'float32', ['n', d]), builder.input('b', 'float32', ['m', d])]
  const product = builder.node('Gemm', inputs, { transB: { int: 1 } })
  builder.output(product, 'float32', ['n', 'm'], 'cosine')
  const model = encodeOnnx({ graph: builder.finish('cosines') })
  const session = await createSession(model, { threads: 1 })
  const rowsOf = (keep: (i: number) => boolean): Int32Array =>
    Int32Array.from(fold.keys()).filter(keep)
  const take = (rows: Int32Array) => {
    const taken = new Float32Array(rows.length * d)
    rows.forEach((row, at) => {
      taken.set(values.subarray(row * d, (row + 1) * d), at * d)
    })
    return new ort.Tensor('float32', taken, [rows.length, d])
  }
  const result = new Float64Array(gain.length)
  try {
    for (const held of new Set(fold)) {
      const test = rowsOf((i) => fold[i] === held)
      const train = rowsOf((i) => fold[i] !== held)
      const { cosine } = await session.run({ a: take(test), b: take(train) })
      const all = cosine!.data as Float32Array
      test.forEach((row, at) => {
        const near = all.subarray(at * train.length, (at + 1) * train.length)
        result[row] = nearestMean(near, train, gain)
      })
    }
  } finally {
    await session.release()
  }
  return result
}

/** The nearest are found by counting cosines into bins from the top, so ties at the edge all count. */
function nearestMean(cosine: Float32Array, train: Int32Array, gain: Float64Array): number {
  const counts = new Int32Array(BINS + 1)
  const bin = (x: number): number => Math.floor(((x + 1) / 2) * BINS)
  for (let j = 0; j < cosine.length; j++) counts[bin(cosine[j]!)]!++
  let edge = BINS
  for (let seen = counts[BINS]!; seen < NEIGHBOURS && edge > 0; ) seen += counts[--edge]!
  let sum = 0
  let total = 0
  for (let j = 0; j < cosine.length; j++) {
    if (bin(cosine[j]!) < edge) continue
    const weight = Math.exp(SHARPNESS * (cosine[j]! - 1))
    sum += weight * gain[train[j]!]!
    total += weight
  }
  return sum / total
}

function normaliseRows(values: Float32Array, d: number): void {
  for (let at = 0; at < values.length; at += d) {
    let squares = 0
    for (let j = 0; j < d; j++) squares += values[at + j]! ** 2
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0
    // slightly under 1, so that rounding never leaves [-1, 1]
    for (let j = 0; j < d; j++) values[at + j]! *= scale * 0.999999
  }
}

/** Weight, in rows, of the overall mean that each category's mean gain is shrunk to. */
const PRIOR_ROWS = 8

/** Mean gain of each row's category over the other folds, shrunk; rows without a category share one. */
export function categoryGains(
  gain: Float64Array,
  categories: readonly (string | undefined)[],
  fold: Int32Array,
): Float64Array {
  const result = new Float64Array(gain.length)
  for (const held of new Set(fold)) {
    const sums = new Map<string | undefined, { gain: number; rows: number }>()
    let mean = 0
    let rows = 0
    for (let i = 0; i < gain.length; i++) {
      if (fold[i] === held) continue
      const of = sums.get(categories[i]) ?? { gain: 0, rows: 0 }
      of.gain += gain[i]!
      of.rows++
      sums.set(categories[i], of)
      mean += gain[i]!
      rows++
    }
    mean /= rows
    for (let i = 0; i < gain.length; i++) {
      if (fold[i] !== held) continue
      const of = sums.get(categories[i]) ?? { gain: 0, rows: 0 }
      result[i] = (of.gain + PRIOR_ROWS * mean) / (of.rows + PRIOR_ROWS)
    }
  }
  return result
}
