import type { EpochRecord } from '../engine/engine.ts'
import { above, beside, type DenseMatrix, pickRows } from '../solver/dense-matrix.ts'
import type { Products } from '../solver/products.ts'
import { type Moments, momentsOf, type RidgeFit, solveRidge, targetsOf } from '../solver/ridge.ts'
import type { TrainerInput } from '../trainer.ts'
import {
  chooseKernel,
  columnScales,
  type KernelChoice,
  type Layout,
  type Mix,
  partsOf,
  stepsOf,
} from './kernel-choice.ts'
import type { KernelRows } from './kernel-rows.ts'
import { fitOutcomeFactors, type OutcomeFactors } from './outcome-factors.ts'
import { type PredictedOutcomes, predict, predictOutcomes } from './predicted-outcomes.ts'

/** Root of the weight of what the first stage predicts, beside the words'. */
const PREDICTED_WEIGHT = 1

/** How the rows are learned from, chosen over folds of the train rows. */
export interface KernelStages {
  readonly first: KernelChoice
  /** absent where comparing by predicted outcomes does not help */
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
  /** of the outcomes, at the most; 0 for one stage alone */
  readonly factors: number
  readonly centres: number
}

export async function chooseStages(
  input: TrainerInput,
  train: KernelRows,
  options: KernelStageOptions,
  curve: EpochRecord[],
  products: Products,
): Promise<KernelStages> {
  const { layout, mixes, folds } = options
  const factors =
    options.factors > 0
      ? fitOutcomeFactors(train.observed, input.models.length, options.factors)
      : undefined
  const total = stepsOf(mixes.length + (factors ? 1 : 0))
  const targets = factors ? beside(train.targets, factors.of(train.observed)) : train.targets
  const parts = await partsOf({ ...train, targets }, folds, products)
  const first = await chooseKernel(input, parts, { layout, mixes }, curve, total)
  if (!factors || factors.count === 0) return { first, layout }
  const outcomes = await predictOutcomes(
    parts,
    {
      layout,
      choice: first,
      models: input.models.length,
      factors,
      centres: options.centres,
      seed: input.seed,
      signal: input.signal,
    },
    products,
  )
  const wide = [...layout, { name: 'predicted', columns: outcomes.bumps.columns }]
  const z = beside(train.z, await outcomes.bumps.features(outcomes.outOfFold))
  const again = await partsOf({ ...train, z }, folds, products)
  const mix = { ...first.mix, predicted: PREDICTED_WEIGHT }
  const second = await chooseKernel(input, again, { layout: wide, mixes: [mix] }, curve, total)
  if (second.found <= first.found) return { first, layout }
  return { first, second: { ...second, factors, outcomes }, layout: wide }
}

/** Both stages fitted to some rows. */
export interface FittedStages {
  /** of every model's score */
  readonly scores: RidgeFit
  /** of the factors, over the first stage's columns; the others have weight 0 */
  readonly factors?: RidgeFit
}

export async function fitStages(
  rows: KernelRows,
  /** predicted outcomes of the rows, made without their own; absent with one stage */
  predicted: DenseMatrix | undefined,
  { first, second, layout }: KernelStages,
  products: Products,
): Promise<FittedStages> {
  const m = rows.targets.columns
  const last = second ?? first
  if (!second || !predicted) {
    const moments = await momentsOf(rows.z, rows.targets, products)
    return { scores: solveRidge(moments, last.l2, columnScales(layout, last.mix)) }
  }
  const moments: Moments = await momentsOf(
    beside(rows.z, await second.outcomes.bumps.features(predicted)),
    beside(rows.targets, second.factors.of(rows.observed)),
    products,
  )
  const part = (from: number, count: number, { l2, mix }: KernelChoice): RidgeFit =>
    solveRidge(targetsOf(moments, from, count), l2, columnScales(layout, mix))
  return { scores: part(0, m, second), factors: part(m, second.factors.count, first) }
}

/**
 * Predicted outcomes of the train rows, out of fold, and of the rows behind them by the train rows' own fit.
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
  return above(outOfFold, await predict(factors, pickRows(all.z, rest), scale, products))
}
