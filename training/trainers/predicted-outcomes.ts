import { type DenseMatrix, pickRows } from '../solver/dense-matrix.ts'
import type { Products } from '../solver/products.ts'
import { type RidgeFit, solveRidge, targetsOf } from '../solver/ridge.ts'
import {
  columnScales,
  type FoldPart,
  type KernelChoice,
  type Layout,
  momentsWithout,
} from './kernel-choice.ts'
import { landmarks } from './kernel-features.ts'
import { type NystroemFeatures, nystroemFeatures } from './nystroem.ts'
import type { OutcomeFactors } from './outcome-factors.ts'

/** Squared distance a factor at which a centre counts 1/e, in variances of what is predicted. */
const WIDTH = 2

/**
 * Outcomes as the first stage predicts them, for a second stage to compare prompts by: two prompts that look as
 * hard to all models are alike, whatever they are about. Stacking (Wolpert 1992): the second stage learns from
 * predictions made without the prompt itself, as it will meet them.
 */
export interface PredictedOutcomes {
  /** n x factors of the train rows, each from the other parts, at mean variance 1 */
  readonly outOfFold: DenseMatrix
  /** what a fit of the factors gives is multiplied by */
  readonly scale: number
  readonly nystroem: NystroemFeatures
}

/**
 * @param parts of the train rows; behind the `models` first columns of their targets stand the factors
 * @param choice the first stage's penalty and mix
 */
export async function predictOutcomes(
  parts: readonly FoldPart[],
  given: {
    readonly layout: Layout
    readonly choice: KernelChoice
    readonly models: number
    readonly factors: OutcomeFactors
    readonly centres: number
    readonly seed: number
    readonly signal?: AbortSignal | undefined
  },
  products: Products,
): Promise<PredictedOutcomes> {
  const { layout, choice, models } = given
  const { count } = given.factors
  const n = parts.reduce((sum, { rows }) => sum + rows.length, 0)
  const values = new Float32Array(n * count)
  const scales = columnScales(layout, choice.mix)
  for (const part of parts) {
    await new Promise((resolve) => setImmediate(resolve)) // lets Ctrl-C in
    given.signal?.throwIfAborted()
    const moments = targetsOf(momentsWithout(parts, part), models, count)
    const predicted = await predict(solveRidge(moments, choice.l2, scales), part.z, 1, products)
    part.rows.forEach((row, place) => {
      values.set(predicted.values.subarray(place * count, (place + 1) * count), row * count)
    })
  }
  const scale = 1 / Math.max(meanDeviation(values, count), 1e-6)
  const outOfFold = { rows: n, columns: count, values: values.map((value) => scale * value) }
  const centres = pickRows(outOfFold, landmarks(n, given))
  const nystroem = await nystroemFeatures(centres, WIDTH * count, products)
  return { outOfFold, scale, nystroem }
}

/** z W + b, times `scale`; of W as many rows as z has columns. */
export async function predict(
  { weights, bias }: RidgeFit,
  z: DenseMatrix,
  scale: number,
  products: Products,
): Promise<DenseMatrix> {
  const columns = bias.length
  const own = Float32Array.from(weights.subarray(0, z.columns * columns))
  const out = await products.multiply(z, { rows: z.columns, columns, values: own })
  const values = out.values.map((value, i) => scale * (value + bias[i % columns]!))
  return { ...out, values }
}

/** Mean over the columns of their standard deviation. */
function meanDeviation(values: Float32Array, columns: number): number {
  const n = values.length / columns
  let total = 0
  for (let c = 0; c < columns; c++) {
    let [sum, squares] = [0, 0]
    for (let i = c; i < values.length; i += columns) {
      sum += values[i]!
      squares += values[i]! ** 2
    }
    total += Math.sqrt(Math.max(squares / n - (sum / n) ** 2, 0)) / columns
  }
  return total
}
