import type { EpochRecord } from '../engine/engine.ts'
import { type DenseMatrix, pickRows, stackColumns, stackRows } from '../solver/dense-matrix.ts'
import type { Products } from '../solver/products.ts'
import {
  addMoments,
  type Moments,
  momentsOf,
  type RidgeFit,
  solveRidge,
  targetsOf,
} from '../solver/ridge.ts'
import type { TrainerInput } from '../trainer.ts'
import {
  chooseKernel,
  columnScales,
  type FoldPart,
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

/** The stages and, for the last one, what the train rows come to. */
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

/** What any rows come to, for the last stage. */
export async function stageMoments(
  rows: KernelRows,
  /** predicted outcomes of the rows, made without their own; absent with one stage */
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
  /** of every model's score */
  readonly scores: RidgeFit
  /** of the factors, over the first stage's columns; the others have weight 0 */
  readonly factors?: RidgeFit
}

/** @param models targets that are scores; those behind them are factors */
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
  return stackRows(outOfFold, await predict(factors, pickRows(all.z, rest), scale, products))
}
