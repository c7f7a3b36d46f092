import { concatenate, type Embeddings } from '../../models/embeddings.ts'
import { WeirError } from '../../models/errors.ts'
import type { HeadWeights } from '../../models/family.ts'
import { linearLogits, sigmoid } from '../../models/linear-head.ts'
import type { EpochRecord } from '../engine/engine.ts'
import { fitLogistic, type LogisticFit } from '../solver/logistic.ts'
import type { Trainer, TrainerInput, TrainingRows } from '../trainer.ts'

/**
 * Linear heads by penalised logistic regression: from outcomes one success head a model (soft labels are
 * the scores), from preferences alone one head for the pair. The objective is convex, so it is solved by
 * L-BFGS whatever the engine; the strength of the L2 penalty is the one with the least log-loss on validation.
 * With `refit`, the head is then fitted at that strength to train and validation rows together.
 */
export const classifierTrainer: Trainer = {
  family: 'classifier',
  input: 'sparse',
  defaults: { l2_min: 0.5, l2_max: 30, l2_steps: 5, iterations: 200, refit: 1 },

  async fit(input) {
    const { train, validation } = input
    const heads = train.outcomes
      ? input.models.map((_, model) => ({
          name: input.models[model]!,
          train: outcomeTarget(train, input.models.length, model),
          validation: outcomeTarget(validation, input.models.length, model),
        }))
      : [
          {
            name: `${input.models[input.strong]} over ${input.models[input.weak]}`,
            train: pairTarget(train, input),
            validation: pairTarget(validation, input),
          },
        ]
    const curve: EpochRecord[] = []
    const chosen: LogisticFit[] = []
    const refitted: LogisticFit[] = []
    const refit = input.hyperparameters.refit === 1
    const everything = refit ? concatenate([train.embeddings, validation.embeddings]) : undefined
    const strengths = penalties(input.hyperparameters)
    for (const [index, head] of heads.entries()) {
      let best: { fit: LogisticFit; loss: number; l2: number } | undefined
      for (const [step, l2] of strengths.entries()) {
        input.signal?.throwIfAborted()
        const started = performance.now()
        const fit: LogisticFit = await fitLogistic({
          embeddings: train.embeddings,
          ...head.train,
          l2,
          maxIterations: input.hyperparameters.iterations!,
          tolerance: 1e-5,
          // the neighbouring strength's solution is a good start
          ...(best ? { init: { weights: best.fit.weights, bias: best.fit.bias } } : {}),
          ...(input.signal ? { signal: input.signal } : {}),
        })
        const loss = meanLogLoss(fit, validation.embeddings, head.validation)
        curve.push({
          epoch: curve.length,
          trainLoss: meanLogLoss(fit, train.embeddings, head.train),
          validationLoss: loss,
          seconds: (performance.now() - started) / 1000,
        })
        input.onProgress?.({
          stage: 'fitting classifier',
          done: index * strengths.length + step + 1,
          total: heads.length * strengths.length,
          note: `${head.name}: validation log-loss ${loss.toFixed(4)}`,
        })
        if (best && !(loss < best.loss)) break // weaker penalties only overfit more
        best = { fit, loss, l2 }
      }
      chosen.push(best!.fit)
      if (!everything) continue
      const { fit, l2 } = best!
      refitted.push(
        await fitLogistic({
          embeddings: everything,
          ...joinTargets(head.train, head.validation, train.embeddings.rows),
          l2,
          maxIterations: input.hyperparameters.iterations!,
          tolerance: 1e-5,
          init: { weights: fit.weights, bias: fit.bias },
          ...(input.signal ? { signal: input.signal } : {}),
        }),
      )
    }
    const heldOut = joinHeads(input.models, train.embeddings.dimension, chosen)
    return {
      ...(refit
        ? { weights: joinHeads(input.models, train.embeddings.dimension, refitted), heldOut }
        : { weights: heldOut }),
      hyperparameters: input.hyperparameters,
      curve,
      backend: 'lbfgs',
    }
  },
}

/** Strongest first: the path ends where the validation loss starts to rise. */
function penalties(hyperparameters: Readonly<Record<string, number>>): number[] {
  const {
    l2_min: low,
    l2_max: high,
    l2_steps: steps,
  } = hyperparameters as {
    l2_min: number
    l2_max: number
    l2_steps: number
  }
  if (steps <= 1) return [high]
  return Array.from({ length: steps }, (_, i) => high * (low / high) ** (i / (steps - 1)))
}

interface Target {
  /** rows of the embeddings that have a label */
  readonly rows: Int32Array
  readonly labels: Float32Array
  readonly weights: Float32Array
}

function outcomeTarget(split: TrainingRows, models: number, model: number): Target {
  const scores = split.outcomes!.scores
  const rows: number[] = []
  const labels: number[] = []
  for (let row = 0; row < split.embeddings.rows; row++) {
    const score = scores[row * models + model]!
    if (Number.isNaN(score)) continue
    rows.push(row)
    labels.push(score)
  }
  return target(rows, labels, new Float32Array(rows.length).fill(1))
}

/** The pair's own votes, seen from the strong model's side. */
function pairTarget(split: TrainingRows, { strong, weak, models }: TrainerInput): Target {
  const rows: number[] = []
  const labels: number[] = []
  const weights: number[] = []
  const { preferences } = split
  for (let i = 0; i < (preferences?.prompt.length ?? 0); i++) {
    const { modelA, modelB, label, weight, prompt } = preferences!
    const forward = modelA[i] === strong && modelB[i] === weak
    if (!forward && !(modelA[i] === weak && modelB[i] === strong)) continue
    rows.push(prompt[i]!)
    labels.push(forward ? label[i]! : 1 - label[i]!)
    weights.push(weight[i]!)
  }
  if (rows.length === 0) {
    throw new WeirError('rows_too_few', {
      expected: 1,
      what: `comparing ${models[strong]} with ${models[weak]} (--router mf learns from all pairs)`,
      got: 0,
    })
  }
  return target(rows, labels, weights)
}

const target = (
  rows: readonly number[],
  labels: readonly number[],
  weights: ArrayLike<number>,
): Target => ({
  rows: Int32Array.from(rows),
  labels: Float32Array.from(labels),
  weights: Float32Array.from(weights),
})

/** Two splits' targets, the second one's rows behind the first one's `rows`. */
function joinTargets(first: Target, second: Target, rows: number): Target {
  return target(
    [...first.rows, ...second.rows.map((row) => row + rows)],
    [...first.labels, ...second.labels],
    [...first.weights, ...second.weights],
  )
}

function meanLogLoss(
  fit: LogisticFit,
  embeddings: Embeddings,
  { rows, labels, weights }: Target,
): number {
  const head = {
    link: 'pair',
    outputs: 1,
    dimension: embeddings.dimension,
    weights: fit.weights,
    bias: Float32Array.of(fit.bias),
    strong: 0,
    weak: 0,
  } as const
  const logit = new Float64Array(1)
  let loss = 0
  let total = 0
  for (let i = 0; i < rows.length; i++) {
    linearLogits(head, embeddings, rows[i]!, logit)
    const p = Math.min(Math.max(sigmoid(logit[0]!), 1e-12), 1 - 1e-12)
    const y = labels[i]!
    loss -= weights[i]! * (y * Math.log(p) + (1 - y) * Math.log(1 - p))
    total += weights[i]!
  }
  return total > 0 ? loss / total : Number.NaN
}

function joinHeads(
  models: readonly string[],
  dimension: number,
  heads: readonly LogisticFit[],
): HeadWeights {
  const outputs = heads.length
  const values = new Float32Array(dimension * outputs)
  heads.forEach((head, k) => {
    for (let j = 0; j < dimension; j++) values[j * outputs + k] = head.weights[j]!
  })
  return {
    models,
    tensors: {
      weights: { shape: [dimension, outputs], values },
      bias: { shape: [outputs], values: Float32Array.from(heads, (head) => head.bias) },
    },
  }
}
