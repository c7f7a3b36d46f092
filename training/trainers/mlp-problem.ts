import type { DenseEmbeddings } from '../../models/embeddings.ts'
import { createRandom, deriveSeed } from '../../models/random.ts'
import type { FitRows, FitSpec, Ops, Parameter, RowLoss } from '../engine/engine.ts'
import type { TrainerInput, TrainingRows } from '../trainer.ts'
import { type ClassWeight, withClassWeight } from './class-weights.ts'
import { withShrunkVotes } from './shrunk-votes.ts'
import { type SuccessTable, successFitRows, successLoss } from './success-rows.ts'
import { outcomeTarget, pairTarget } from './targets.ts'

type MlpInput = TrainerInput<
  Readonly<{ hidden: number; l2: number; class_weight: ClassWeight; smoothing: number }>
>

/** He's initial values (2015), and output biases at the base rates, so that the first epoch has those to build on. */
export function mlpSpec(input: MlpInput, dimension: number, train: FitRows): FitSpec {
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

/** A row a prompt with its scores, or a row a vote of the pair. */
export function headRows(
  input: MlpInput,
  split: TrainingRows,
  embeddings: DenseEmbeddings,
): FitRows {
  const { class_weight, smoothing } = input.hyperparameters
  const models = input.models.length
  if (split.outcomes) {
    const table = weightedTable(split, models, class_weight)
    return successFitRows(split, embeddings, models, table)
  }
  const votes = pairTarget(withShrunkVotes(split, smoothing), input)
  const { rows, labels, weights } = withClassWeight(votes, class_weight)
  return {
    rows: rows.length,
    columns: { label: labels },
    lookups: {
      embedding: {
        table: { shape: [embeddings.rows, embeddings.dimension], values: embeddings.values },
        index: rows,
      },
    },
    weight: weights,
  }
}

/** Each model's classes are weighed by themselves. */
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

/** Logits of the heads' mean labels, each with half a row of either kind added. */
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
