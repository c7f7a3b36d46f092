import type { Static } from 'typebox'
import Type from 'typebox'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import type { DenseEmbeddings } from '../../../models/encoders/embeddings.ts'
import type { Tensor } from '../../../models/families/family.ts'
import { mlp } from '../../../models/families/mlp.ts'
import type { FitRows, FitSpec, Ops, Parameter, RowLoss } from '../../engine/engine.ts'
import { defaultsOf, descentSettings, whole } from '../settings.ts'
import type { DataSize, Trainer, TrainerInput, TrainingRows } from '../trainer.ts'
import { denseRows, descentOptions, descentResult, embeddingLookup } from './descent.ts'
import { type SuccessTable, successFitRows, successLoss } from './success-rows.ts'
import {
  CLASS_WEIGHT,
  type ClassWeight,
  hasVotes,
  outcomeTarget,
  pairTarget,
  SMOOTHING,
  withClassWeight,
  withShrunkVotes,
} from './targets.ts'

const MLP_SETTINGS = Type.Object({
  hidden: whole(64, 'number of hidden units; 32 for small logs', {
    minimum: 1,
    maximum: 8192,
    search: { among: [16, 32, 64, 128, 256] },
  }),
  ...descentSettings({
    batch: 'smaller for small logs, larger for large ones',
    rate: 2e-4,
    penalised: 'both layers’ weights',
    l2: 1e-1,
  }),
  class_weight: CLASS_WEIGHT,
  smoothing: SMOOTHING,
})
type MlpSettings = Static<typeof MLP_SETTINGS>

/**
 * A classifier with one hidden layer (ReLU): from outcomes one success head per model, from preferences alone
 * one head for the pair. It reads dense embeddings; for `lexical`, its SVD.
 */
export const mlpTrainer: Trainer<MlpSettings> = {
  family: 'mlp',
  input: 'dense',
  settings: MLP_SETTINGS,
  defaults: defaultsOf(MLP_SETTINGS),

  sized({ prompts, votes }: DataSize) {
    const rows = Math.max(prompts, votes)
    // few rows give few steps per epoch: smaller batches, and fewer units to fit
    if (rows < 3_000) return { hidden: 32, batch_size: 32, learning_rate: 2e-3 }
    const batch = rows <= 50_000 ? 64 : rows <= 500_000 ? 256 : 1024
    return { batch_size: batch, learning_rate: 1e-3 * Math.sqrt(batch / 64) }
  },

  async fit(input) {
    const embeddings = denseRows(input.train)
    const scale = inputScale(embeddings)
    const train = headRows(input, input.train, scaleRows(embeddings, scale))
    const validation = headRows(
      input,
      input.validation,
      scaleRows(denseRows(input.validation), scale),
    )
    const fold = (found: Readonly<Record<string, Tensor>>): Record<string, Tensor> => {
      const layer = foldScale(found.hidden!, found.hidden_bias!, scale)
      return { ...found, hidden: layer.weights, hidden_bias: layer.bias }
    }
    const options = descentOptions(input, mlp, {
      rows: train.rows,
      width: input.hyperparameters.hidden,
    })
    const result = await input.engine.fit(
      mlpSpec(input, embeddings.dimension, train),
      { train, validation },
      {
        ...options,
        validationApgr: (found) => options.validationApgr?.(fold(found)),
        // no other fit uses the scaled rows
        consumeTables: true,
      },
    )
    return descentResult(input, result, fold(result.parameters))
  },
}

type MlpInput = TrainerInput<
  Readonly<{ hidden: number; l2: number; class_weight: ClassWeight; smoothing: number }>
>

/** He's initial values (2015), and output biases at the base rates, which the first epoch then starts from. */
function mlpSpec(input: MlpInput, dimension: number, train: FitRows): FitSpec {
  const { hidden: width, l2 } = input.hyperparameters
  const outputs = input.train.outcomes ? input.models.length : 1
  const random = createRandom(deriveSeed(input.seed, 'mlp-init'))
  const normal = (shape: readonly [number, number], deviation: number): Parameter => ({
    shape,
    values: Float32Array.from({ length: shape[0] * shape[1] }, () => deviation * random.normal()),
    l2,
  })
  return {
    name: 'mlp',
    loss: outputs === 1 ? pairLoss : successLossOf(outputs),
    parameters: {
      hidden: normal([dimension, width], Math.sqrt(2 / dimension)),
      hidden_bias: { shape: [width], values: new Float32Array(width), l2: 0 },
      weights: normal([width, outputs], 1 / width),
      bias: { shape: [outputs], values: baseLogits(train, outputs), l2: 0 },
    },
  }
}

function logitsOf<T>(
  ops: Ops<T>,
  parameters: Readonly<Record<string, T>>,
  batch: Readonly<Record<string, T>>,
): T {
  const drive = ops.matmul(batch.embedding!, parameters.hidden!)
  const hidden = ops.relu(ops.add(drive, parameters.hidden_bias!))
  return ops.add(ops.matmul(hidden, parameters.weights!), parameters.bias!)
}

export const pairLoss: RowLoss = (ops, parameters, batch) => {
  const logit = ops.columnAt(logitsOf(ops, parameters, batch), 0)
  return ops.sub(ops.softplus(logit), ops.mul(logit, batch.label!))
}

export const successLossOf =
  (models: number): RowLoss =>
  (ops, parameters, batch) =>
    successLoss(ops, logitsOf(ops, parameters, batch), batch, models)

/** One row per prompt with its scores and one per vote, or, without scores, one row per vote on the pair. */
function headRows(input: MlpInput, split: TrainingRows, embeddings: DenseEmbeddings): FitRows {
  const { class_weight, smoothing } = input.hyperparameters
  const models = input.models.length
  if (split.outcomes) {
    const table = weightedTable(split, models, class_weight)
    return successFitRows(split, embeddings, models, hasVotes(input), table)
  }
  const votes = pairTarget(withShrunkVotes(split, smoothing), input)
  const { rows, labels, weights } = withClassWeight(votes, class_weight)
  return {
    rows: rows.length,
    columns: { label: labels },
    lookups: { embedding: embeddingLookup(embeddings, rows) },
    weight: weights,
  }
}

/** Classes are weighted within each model. */
function weightedTable(
  split: TrainingRows,
  models: number,
  classWeight: ClassWeight,
): SuccessTable {
  const score = new Float32Array(split.embeddings.rows * models)
  const seen = new Float32Array(score.length)
  for (let model = 0; model < models; model++) {
    const target = withClassWeight(outcomeTarget(split, models, model), classWeight)
    for (const [i, row] of target.rows.entries()) {
      score[row * models + model] = target.labels[i]!
      seen[row * models + model] = target.weights[i]!
    }
  }
  return { score, seen }
}

/** Logits of the heads' mean labels, with half a row of each class added. */
function baseLogits(rows: FitRows, outputs: number): Float32Array {
  return Float32Array.from({ length: outputs }, (_, k) => {
    let [hits, total] = [0.5, 1]
    const { score, seen } = rows.lookups
    for (let i = 0; i < rows.rows; i++) {
      const at = score ? score.index[i]! * outputs + k : i
      const count = seen ? seen.table.values[at]! : rows.weight[i]!
      const label = score ? score.table.values[at]! : (rows.columns.label![i] ?? 0)
      hits += count * label
      total += count
    }
    return Math.log(hits / (total - hits))
  })
}

/**
 * Shift and scale of a layer's input to mean 0 and mean square 1, so that the same learning rate suits every
 * encoder: one mean per column, and one factor for all columns, since columns with little spread carry
 * little.
 */
export interface InputScale {
  /** d */
  readonly mean: Float64Array
  readonly factor: number
}

function inputScale({ rows, dimension, values }: DenseEmbeddings): InputScale {
  const mean = new Float64Array(dimension)
  for (let i = 0; i < values.length; i++) mean[i % dimension]! += values[i]! / Math.max(rows, 1)
  let squares = 0
  for (let i = 0; i < values.length; i++) squares += (values[i]! - mean[i % dimension]!) ** 2
  const spread = Math.sqrt(squares / Math.max(values.length, 1))
  // constant columns have nothing to scale
  return { mean, factor: spread > 1e-6 ? 1 / spread : 1 }
}

function scaleRows(from: DenseEmbeddings, { mean, factor }: InputScale): DenseEmbeddings {
  const d = from.dimension
  return { ...from, values: from.values.map((value, i) => (value - mean[i % d]!) * factor) }
}

/** The same layer for unscaled rows: W (factor (e - mean)) + b = (factor W) e + (b - factor W mean). */
function foldScale(
  weights: Tensor,
  bias: Tensor,
  { mean, factor }: InputScale,
): { readonly weights: Tensor; readonly bias: Tensor } {
  const [dimension = 0, width = 0] = weights.shape
  const shifted = Float64Array.from(bias.values)
  const scaled = new Float32Array(weights.values.length)
  for (let j = 0; j < dimension; j++) {
    for (let i = 0; i < width; i++) {
      const value = factor * weights.values[j * width + i]!
      scaled[j * width + i] = value
      shifted[i]! -= value * mean[j]!
    }
  }
  return {
    weights: { shape: weights.shape, values: scaled },
    bias: { shape: bias.shape, values: Float32Array.from(shifted) },
  }
}
