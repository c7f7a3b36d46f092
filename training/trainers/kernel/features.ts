import { createRandom, deriveSeed } from '../../../core/random.ts'
import type { Embeddings } from '../../../models/encoders/embeddings.ts'
import { SURFACE_COUNT } from '../../../models/encoders/lexical/surface.ts'
import type { HeadWeights, Tensor } from '../../../models/families/family.ts'
import { blockRow, KERNEL_BLOCKS, type KernelBlockName } from '../../../models/families/kernel.ts'
import { inverseCholesky } from '../../lexical/orthogonal.ts'
import { truncatedSvd } from '../../lexical/svd.ts'
import type { DenseMatrix } from '../../solver/dense-matrix.ts'
import type { Products } from '../../solver/products.ts'

export interface KernelFeatureOptions {
  /** number of columns of the dense encoder at the end of a row; all columns of a dense row */
  readonly tail: number
  readonly rank: number
  readonly centres: number
  readonly widths: Readonly<Record<KernelBlockName, number>>
  readonly seed: number
  readonly signal?: AbortSignal | undefined
}

/** One group of features: its name, and how its weights become a head's tensors. */
interface Part {
  readonly name: 'words' | KernelBlockName
  readonly columns: number
  features(embeddings: Embeddings): Promise<DenseMatrix>
  /** @param weights columns x m */
  fold(weights: DenseMatrix): Promise<HeadWeights['tensors']>
}

/** The feature map of the kernel family, fitted on train rows: z'z approximates the kernel. */
export interface KernelFeatures {
  readonly parts: readonly Part[]
  readonly dimension: number
  /** rows x dimension, the parts side by side */
  of(embeddings: Embeddings): Promise<DenseMatrix>
  /** @param weights dimension x m */
  tensors(weights: Float64Array, m: number): Promise<HeadWeights['tensors']>
}

export async function fitKernelFeatures(
  train: Embeddings,
  options: KernelFeatureOptions,
  products: Products,
): Promise<KernelFeatures> {
  const tail = train.kind === 'dense' ? train.dimension : options.tail
  const layout = { surface: train.kind === 'dense' ? 0 : SURFACE_COUNT, meaning: tail }
  const places = landmarks(train.rows, options)
  const parts: Part[] = [
    await wordPart(train, train.dimension - layout.surface - tail, options, products),
  ]
  for (const name of KERNEL_BLOCKS) {
    if (layout[name] > 0)
      parts.push(await blockPart(name, train, layout, places, options, products))
  }
  const dimension = parts.reduce((sum, { columns }) => sum + columns, 0)
  return {
    parts,
    dimension,
    async of(embeddings) {
      const values = new Float32Array(embeddings.rows * dimension)
      let at = 0
      for (const { columns, features } of parts) {
        const own = (await features(embeddings)).values
        for (let row = 0; row < embeddings.rows; row++) {
          values.set(own.subarray(row * columns, (row + 1) * columns), row * dimension + at)
        }
        at += columns
      }
      return { rows: embeddings.rows, columns: dimension, values }
    },
    async tensors(weights, m) {
      let at = 0
      const all: Record<string, Tensor> = {
        layout: { shape: [2], values: Float32Array.of(layout.surface, layout.meaning) },
      }
      for (const { columns, fold } of parts) {
        const values = Float32Array.from(weights.subarray(at * m, (at + columns) * m))
        at += columns
        Object.assign(all, await fold({ rows: columns, columns: m, values }))
      }
      return all
    },
  }
}

/** Indices of the rows that become centres, ascending: `centres` of them, but at most half of the rows. */
export function landmarks(
  rows: number,
  { centres, seed }: Pick<KernelFeatureOptions, 'centres' | 'seed'>,
): number[] {
  const order = createRandom(deriveSeed(seed, 'centres')).shuffle(
    Array.from({ length: rows }, (_, row) => row),
  )
  return order.slice(0, Math.min(centres, Math.max(1, rows >> 1))).sort((a, b) => a - b)
}

/**
 * Words through their SVD: a linear map, so that it folds into one weight per word. Dense rows are used
 * unchanged.
 */
async function wordPart(
  train: Embeddings,
  words: number,
  { rank, seed, signal }: KernelFeatureOptions,
  products: Products,
): Promise<Part> {
  const d = train.dimension
  if (train.kind === 'dense' || words < 1) {
    const own = train.kind === 'dense' ? d : 0
    return {
      name: 'words',
      columns: own,
      features: async (embeddings) => ({
        rows: embeddings.rows,
        columns: own,
        values: embeddings.kind === 'dense' ? embeddings.values : new Float32Array(0),
      }),
      fold: async ({ values, columns: m }) => {
        const all = new Float32Array(d * m)
        all.set(values)
        return { weights: { shape: [d, m], values: all } }
      },
    }
  }
  const vectors = await truncatedSvd(train, {
    columns: words,
    dimension: rank,
    seed: deriveSeed(seed, 'svd'),
    signal,
  })
  const r = vectors.dimension
  return {
    name: 'words',
    columns: r,
    features: async (embeddings) => {
      if (embeddings.kind !== 'sparse') throw new TypeError('fitted on sparse rows')
      const values = new Float32Array(embeddings.rows * r)
      const sum = new Float64Array(r)
      for (let row = 0; row < embeddings.rows; row++) {
        sum.fill(0)
        for (let j = embeddings.offsets[row]!; j < embeddings.offsets[row + 1]!; j++) {
          const id = embeddings.ids[j]!
          if (id >= words) continue
          const weight = embeddings.weights[j]!
          for (let k = 0; k < r; k++) sum[k]! += weight * vectors.values[id * r + k]!
        }
        values.set(sum, row * r)
      }
      return { rows: embeddings.rows, columns: r, values }
    },
    fold: async (weights) => {
      const m = weights.columns
      const v = { rows: words, columns: r, values: vectors.values }
      const all = new Float32Array(d * m)
      all.set((await products.multiply(v, weights)).values)
      return { weights: { shape: [d, m], values: all } }
    },
  }
}

/** A Gaussian kernel over one block of columns, around the same train rows in every block. */
async function blockPart(
  name: KernelBlockName,
  train: Embeddings,
  layout: Readonly<Record<KernelBlockName, number>>,
  places: readonly number[],
  { widths }: KernelFeatureOptions,
  products: Products,
): Promise<Part> {
  const columns = layout[name]
  const behind = name === 'surface' ? layout.meaning : 0
  const rowsOf = (embeddings: Embeddings, rows: readonly number[]): DenseMatrix => {
    const values = new Float32Array(rows.length * columns)
    const x = new Float64Array(columns)
    rows.forEach((row, at) => {
      blockRow(embeddings, row, behind, name === 'meaning', x)
      values.set(x, at * columns)
    })
    return { rows: rows.length, columns, values }
  }
  const nystroem = await nystroemFeatures(rowsOf(train, places), widths[name], products)
  return {
    name,
    columns: nystroem.columns,
    features(embeddings) {
      const rows = Array.from({ length: embeddings.rows }, (_, row) => row)
      return nystroem.features(rowsOf(embeddings, rows))
    },
    async fold(weights) {
      const tensors = Object.entries(await nystroem.fold(weights))
      return Object.fromEntries(tensors.map(([key, tensor]) => [`${name}.${key}`, tensor]))
    },
  }
}

/** Added to the diagonal of the centres' kernel to keep it from being singular. */
const JITTER = 1e-4

/** exp(-|x - c|^2 / width) for centres c, transformed so that products of features approximate the kernel. */
export interface NystroemFeatures {
  /** as many columns as centres */
  readonly columns: number
  features(x: DenseMatrix): Promise<DenseMatrix>
  /** The tensors that a head stores: `centres`, `coefficients` and `width`, for weights columns x m. */
  fold(weights: DenseMatrix): Promise<HeadWeights['tensors']>
}

/** The Nystroem feature map of a Gaussian kernel (Williams and Seeger 2001). */
export async function nystroemFeatures(
  centres: DenseMatrix,
  width: number,
  products: Products,
): Promise<NystroemFeatures> {
  const n = centres.rows
  const theirs = squares(centres)
  const kernelTo = async (x: DenseMatrix): Promise<DenseMatrix> => {
    const { values } = await products.multiply(x, centres, 'right')
    const own = squares(x)
    const out = values.map((dot, at) => {
      const apart = own[Math.floor(at / n)]! + theirs[at % n]! - 2 * dot
      return Math.exp(-Math.max(apart, 0) / width)
    })
    return { rows: x.rows, columns: n, values: out }
  }
  const among = Float64Array.from((await kernelTo(centres)).values)
  for (let i = 0; i < n; i++) among[i * n + i]! += JITTER
  const turn = { rows: n, columns: n, values: Float32Array.from(inverseCholesky(among, n)) }
  return {
    columns: n,
    features: async (x) => products.multiply(await kernelTo(x), turn),
    async fold(weights) {
      const { values } = await products.multiply(turn, weights)
      return {
        centres: { shape: [n, centres.columns], values: centres.values },
        coefficients: { shape: [n, weights.columns], values },
        width: { shape: [1], values: Float32Array.of(width) },
      }
    },
  }
}

function squares({ rows, columns, values }: DenseMatrix): Float64Array {
  const out = new Float64Array(rows)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[i]! += values[i * columns + j]! ** 2
  }
  return out
}
