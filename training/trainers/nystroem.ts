import type { HeadWeights } from '../../models/family.ts'
import { inverseCholesky } from '../lexical/orthogonal.ts'
import type { DenseMatrix } from '../solver/dense-matrix.ts'
import type { Products } from '../solver/products.ts'

/** Keeps the centres' own kernel away from singular. */
const JITTER = 1e-4

/** exp(-|x - c|^2 / width) around centres c, turned so that products of features are the kernel. */
export interface NystroemFeatures {
  /** as many as centres */
  readonly columns: number
  features(x: DenseMatrix): Promise<DenseMatrix>
  /** What a head holds of them: `centres`, `coefficients` and `width`, of weights columns x m. */
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
