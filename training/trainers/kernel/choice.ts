import type { Pair } from '../../../models/families/family.ts'
import type { EpochRecord } from '../../engine/engine.ts'
import { type DenseMatrix, pickRows } from '../../solver/dense-matrix.ts'
import type { Products } from '../../solver/products.ts'
import { addMoments, type Moments, momentsOf, ridgePath } from '../../solver/ridge.ts'
import type { TrainerInput } from '../trainer.ts'

/** L2 penalties to try, strongest first. */
const PENALTIES = [30, 12, 6, 3]
/** Range of the factor that scales the fitted gain to what the folds show; 0.05 if they show none. */
const SLOPES = { least: 0.05, most: 1.5 }

/** Root of the weight of each group of columns; 0 leaves it out. */
export type Mix = Readonly<Record<string, number>>

/** Groups of columns that share a weight, in order. */
export type Layout = readonly { readonly name: string; readonly columns: number }[]

export interface KernelChoice {
  readonly mix: Mix
  readonly l2: number
  readonly slope: number
  /** correlation of predicted and observed gain over the folds */
  readonly found: number
}

/** One fold of the train rows. */
export interface FoldPart {
  /** indices among the rows */
  readonly rows: readonly number[]
  readonly z: DenseMatrix
  readonly moments: Moments
  readonly gain: Float64Array
}

/**
 * Puts every `folds`-th row in the same part; rows are in the log's order, and splits are by hash, so that is
 * random.
 */
export async function partsOf(
  all: { readonly z: DenseMatrix; readonly targets: DenseMatrix; readonly gain: Float64Array },
  folds: number,
  products: Products,
): Promise<FoldPart[]> {
  const parts: FoldPart[] = []
  for (let fold = 0; fold < folds; fold++) {
    const rows = [...all.gain.keys()].filter((row) => row % folds === fold)
    const z = pickRows(all.z, rows)
    parts.push({
      rows,
      z,
      moments: await momentsOf(z, pickRows(all.targets, rows), products),
      gain: Float64Array.from(rows, (row) => all.gain[row]!),
    })
  }
  return parts
}

/** The moments of all parts except one. */
export const momentsWithout = (parts: readonly FoldPart[], left: FoldPart): Moments =>
  addMoments(parts.filter((part) => part !== left).map(({ moments }) => moments))

/**
 * Chooses the mix and the penalty whose predictions of each part, made from the other parts, correlate best
 * with the observed gain.
 *
 * @param total number of steps of the whole fit, for progress
 */
export async function chooseKernel(
  input: Pick<TrainerInput, 'signal' | 'onProgress' | keyof Pair>,
  parts: readonly FoldPart[],
  { layout, mixes }: { readonly layout: Layout; readonly mixes: readonly Mix[] },
  curve: EpochRecord[],
  total: number,
): Promise<KernelChoice> {
  let best: KernelChoice | undefined
  for (const mix of mixes) {
    const started = performance.now()
    const seen = PENALTIES.map(() => ({ product: 0, predicted: 0, observed: 0 }))
    for (const part of parts) {
      await new Promise((resolve) => setImmediate(resolve)) // lets Ctrl-C in
      input.signal?.throwIfAborted()
      const over = [input.strong, input.weak] as const
      const known = momentsWithout(parts, part)
      const path = ridgePath(known, PENALTIES, columnScales(layout, mix), over)
      const g = centred(part.gain)
      for (const [step, weights] of path.entries()) {
        const z = centred(gainsOf(weights, part.z))
        const sums = seen[step]!
        for (let i = 0; i < z.length; i++) {
          sums.product += z[i]! * g[i]!
          sums.predicted += z[i]! ** 2
          sums.observed += g[i]! ** 2
        }
      }
    }
    const seconds = (performance.now() - started) / 1000 / PENALTIES.length
    for (const [step, { product, predicted, observed }] of seen.entries()) {
      const found = predicted > 0 && observed > 0 ? product / Math.sqrt(predicted * observed) : 0
      const loss = 1 - found
      curve.push({ epoch: curve.length, trainLoss: loss, validationLoss: loss, seconds })
      const note = `correlation with the gain ${found.toFixed(4)}`
      input.onProgress?.({ stage: 'fitting kernel', done: curve.length, total, note })
      if (best && !(found > best.found + 1e-9)) continue
      const slope = predicted > 0 ? product / predicted : 0
      const within = Math.min(Math.max(slope, SLOPES.least), SLOPES.most)
      best = { mix, l2: PENALTIES[step]!, slope: within, found }
    }
  }
  return best!
}

/** Number of progress steps for comparing this many mixes. */
export const stepsOf = (mixes: number): number => mixes * PENALTIES.length

/** Scale of each column; a group that the mix does not name has weight 0. */
export function columnScales(layout: Layout, mix: Mix): Float64Array {
  return Float64Array.from(
    layout.flatMap(({ name, columns }) => Array<number>(columns).fill(mix[name] ?? 0)),
  )
}

function gainsOf(weights: Float64Array, { rows, columns, values }: DenseMatrix): Float64Array {
  const gain = new Float64Array(rows)
  for (let i = 0; i < rows; i++) {
    let sum = 0
    for (let j = 0; j < columns; j++) sum += values[i * columns + j]! * weights[j]!
    gain[i] = sum
  }
  return gain
}

function centred(values: Float64Array): Float64Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return values.map((value) => value - mean)
}
