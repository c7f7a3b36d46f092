import type { EpochRecord } from '../../engine/engine.ts'
import { crossProducts, symmetricEigen } from '../../lexical/orthogonal.ts'
import { type DenseMatrix, pickRows, stackColumns, stackRows } from '../../solver/dense-matrix.ts'
import type { Products } from '../../solver/products.ts'
import {
  addMoments,
  type Moments,
  momentsOf,
  type RidgeFit,
  solveRidge,
  targetsOf,
} from '../../solver/ridge.ts'
import type { TrainerInput } from '../trainer.ts'
import {
  chooseKernel,
  columnScales,
  type FoldPart,
  type KernelChoice,
  type Layout,
  type Mix,
  momentsWithout,
  partsOf,
  stepsOf,
} from './choice.ts'
import { landmarks, type NystroemFeatures, nystroemFeatures } from './features.ts'
import {
  type KernelRows,
  lengthColumn,
  lengthScale,
  type ObservedOutcomes,
  scoreColumn,
  scoreMean,
} from './rows.ts'

/** Root of the weight of the first stage's predictions, relative to the words'. */
const PREDICTED_WEIGHT = 1

/** The stages of the fit, chosen over folds of the train rows. */
export interface KernelStages {
  readonly first: KernelChoice
  /** absent if comparing prompts by predicted outcomes does not help */
  readonly second?: SecondStage
  /** columns of the last stage's features */
  readonly layout: Layout
}

interface SecondStage extends KernelChoice {
  readonly factors: OutcomeFactors
  readonly outcomes: PredictedOutcomes
}

export interface KernelStageOptions {
  readonly layout: Layout
  readonly mixes: readonly Mix[]
  readonly folds: number
  /** maximum number of outcome factors; 0 for one stage alone */
  readonly factors: number
  readonly centres: number
}

/** Chooses the stages and returns them with the train rows' moments for the last one. */
export async function chooseStages(
  input: TrainerInput,
  train: KernelRows,
  options: KernelStageOptions,
  curve: EpochRecord[],
  products: Products,
): Promise<{ readonly stages: KernelStages; readonly moments: Moments }> {
  const { layout, mixes, folds } = options
  const models = input.models.length
  const factors =
    options.factors > 0 ? fitOutcomeFactors(train.observed, models, options.factors) : undefined
  const total = stepsOf(mixes.length + (factors ? 1 : 0))
  const rows = { ...train, targets: targetsWith(train, factors) }
  const parts = await partsOf(rows, folds, products)
  const first = await chooseKernel(input, parts, { layout, mixes }, curve, total)
  const alone = { stages: { first, layout }, moments: sumOf(parts) }
  if (!factors || factors.count === 0) return alone
  const { seed, signal } = input
  const { centres } = options
  const given = { layout, choice: first, models, factors, centres, seed, signal }
  const outcomes = await predictOutcomes(parts, given, products)
  const wide = [...layout, { name: 'predicted', columns: outcomes.nystroem.columns }]
  const z = stackColumns(train.z, await outcomes.nystroem.features(outcomes.outOfFold))
  const again = await partsOf({ ...rows, z }, folds, products)
  const mix = { ...first.mix, predicted: PREDICTED_WEIGHT }
  const second = await chooseKernel(input, again, { layout: wide, mixes: [mix] }, curve, total)
  if (second.found <= first.found) return alone
  const stages = { first, second: { ...second, factors, outcomes }, layout: wide }
  return { stages, moments: sumOf(again) }
}

const sumOf = (parts: readonly FoldPart[]): Moments =>
  addMoments(parts.map(({ moments }) => moments))

const targetsWith = (
  { targets, observed }: KernelRows,
  factors: OutcomeFactors | undefined,
): DenseMatrix => (factors ? stackColumns(targets, factors.of(observed)) : targets)

/** The moments of any rows, for the last stage. */
export async function stageMoments(
  rows: KernelRows,
  /** outcomes of the rows predicted without their own outcomes; absent with one stage */
  predicted: DenseMatrix | undefined,
  { second }: KernelStages,
  products: Products,
): Promise<Moments> {
  const z =
    second && predicted
      ? stackColumns(rows.z, await second.outcomes.nystroem.features(predicted))
      : rows.z
  return momentsOf(z, targetsWith(rows, second?.factors), products)
}

/** Both stages fitted to some rows. */
export interface FittedStages {
  /** fit of every model's score */
  readonly scores: RidgeFit
  /** fit of the factors, over the first stage's columns; other columns have weight 0 */
  readonly factors?: RidgeFit
}

/** @param models number of targets that are scores; the rest are factors */
export function fitStages(
  moments: Moments,
  { first, second, layout }: KernelStages,
  models: number,
): FittedStages {
  const part = (from: number, count: number, { l2, mix }: KernelChoice): RidgeFit =>
    solveRidge(targetsOf(moments, from, count), l2, columnScales(layout, mix))
  return {
    scores: part(0, models, second ?? first),
    ...(second && { factors: part(models, second.factors.count, first) }),
  }
}

/**
 * Predicted outcomes of the train rows (out of fold) and of the rows after them (by the fit of all train
 * rows).
 *
 * @param all train rows first
 */
export async function predictedOfAll(
  all: KernelRows,
  { second }: KernelStages,
  { factors }: FittedStages,
  products: Products,
): Promise<DenseMatrix | undefined> {
  if (!second || !factors) return undefined
  const { outOfFold, scale } = second.outcomes
  const rest = Array.from({ length: all.z.rows - outOfFold.rows }, (_, i) => outOfFold.rows + i)
  if (rest.length === 0) return outOfFold
  return stackRows(outOfFold, await predict(factors, pickRows(all.z, rest), scale, products))
}

/** Squared distance per factor at which a centre's weight is 1/e, in variances of the predictions. */
const WIDTH = 2

/**
 * Outcomes predicted by the first stage, by which the second stage compares prompts: two prompts that look
 * equally hard to all models are similar, whatever they are about. This is stacking (Wolpert 1992): the
 * second stage learns from predictions made without the prompt itself, which is what it will get later.
 */
interface PredictedOutcomes {
  /** n x factors of the train rows, each predicted from the other parts, at mean variance 1 */
  readonly outOfFold: DenseMatrix
  /** factor that predictions of the factors are multiplied by */
  readonly scale: number
  readonly nystroem: NystroemFeatures
}

/**
 * @param parts parts of the train rows; the first `models` columns of their targets are scores, the rest
 * factors
 * @param choice the first stage's penalty and mix
 */
async function predictOutcomes(
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

/** z W + b, times `scale`; uses as many rows of W as z has columns. */
async function predict(
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

/** Weight of a model's answer length, in standard deviations, relative to its score. */
const LENGTH_WEIGHT = 0.3

/**
 * Principal components of the models' outcomes on a prompt: first how hard the prompt is, then what some
 * models find harder than others do. Answer lengths are included if the log has them: models write more when
 * there is more to do.
 */
interface OutcomeFactors {
  readonly count: number
  /** n x count, for the same models on any rows */
  of(observed: ObservedOutcomes): DenseMatrix
}

/** @param most maximum number of components; never more than the rank of the outcomes */
export function fitOutcomeFactors(
  fitted: ObservedOutcomes,
  m: number,
  most: number,
): OutcomeFactors {
  const models = Array.from({ length: m }, (_, k) => k)
  const means = models.map((k) => scoreMean(fitted.scores, m, k))
  const lengths = fitted.tokens && models.map((k) => lengthScale(fitted.tokens!, m, k))
  const width = m * (lengths ? 2 : 1)
  const tableOf = (observed: ObservedOutcomes): Float32Array => {
    const n = observed.scores.length / m
    const table = new Float32Array(n * width)
    const put = (column: Float64Array, at: number, weight: number): void => {
      for (let i = 0; i < n; i++) table[i * width + at] = weight * column[i]!
    }
    for (const k of models) {
      put(scoreColumn(observed.scores, m, k, means[k]!), k, 1)
      if (!lengths || !observed.tokens) continue
      put(lengthColumn(observed.tokens, m, k, lengths[k]!), m + k, LENGTH_WEIGHT)
    }
    return table
  }
  const table = tableOf(fitted)
  const { values, vectors } = symmetricEigen(
    crossProducts(table, table.length / width, width),
    width,
  )
  const count = Math.min(most, values.filter((value) => value > 1e-6 * values[0]!).length)
  return {
    count,
    of(observed) {
      const rows = tableOf(observed)
      const n = rows.length / width
      const out = new Float32Array(n * count)
      for (let i = 0; i < n; i++) {
        for (let c = 0; c < count; c++) {
          let sum = 0
          for (let j = 0; j < width; j++) sum += rows[i * width + j]! * vectors[j * width + c]!
          out[i * count + c] = sum
        }
      }
      return { rows: n, columns: count, values: out }
    },
  }
}
