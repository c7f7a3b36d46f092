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
 * L-BFGS whatever the engine; the strength of the L2 penalty is the one with the least log-loss on
 * validation or, where a head has few rows, over folds of train and validation together. With `refit`, the
 * head is then fitted at that strength to all of them.
 */
export const classifierTrainer: Trainer = {
  family: 'classifier',
  input: 'sparse',
  defaults: {
    l2_min: 0.5,
    l2_max: 30,
    l2_steps: 5,
    iterations: 200,
    refit: 1,
    folds: 5,
    folds_below_rows: 3000,
  },

  async fit(input) {
    const { train, validation, hyperparameters } = input
    const rows = train.embeddings.rows
    const all = concatenate([train.embeddings, validation.embeddings])
    const heads = headTargets(input)
    const curve: EpochRecord[] = []
    const heldOut: LogisticFit[] = []
    const refitted: LogisticFit[] = []
    for (const [index, head] of heads.entries()) {
      const everything = joinTargets(head.train, head.validation, rows)
      const few = everything.rows.length < hyperparameters.folds_below_rows!
      const parts = few
        ? foldTargets(everything, hyperparameters.folds!)
        : [{ fit: head.train, judge: { ...head.validation, rows: shifted(head.validation, rows) } }]
      const chosen = await penaltyPath(input, all, parts, (record, step, steps) => {
        curve.push({ epoch: curve.length, ...record })
        input.onProgress?.({
          stage: 'fitting classifier',
          done: index * steps + step + 1,
          total: heads.length * steps,
          note: `${head.name}: validation log-loss ${record.validationLoss.toFixed(4)}`,
        })
      })
      heldOut.push(few ? await solve(input, all, head.train, chosen.l2) : chosen.fit)
      if (hyperparameters.refit === 1) {
        refitted.push(await solve(input, all, everything, chosen.l2, chosen.fit))
      }
    }
    const first = joinHeads(input.models, all.dimension, heldOut)
    return {
      ...(hyperparameters.refit === 1
        ? { weights: joinHeads(input.models, all.dimension, refitted), heldOut: first }
        : { weights: first }),
      hyperparameters,
      curve,
      backend: 'lbfgs',
    }
  },
}

interface HeadTargets {
  readonly name: string
  readonly train: Target
  readonly validation: Target
}

function headTargets(input: TrainerInput): HeadTargets[] {
  const { models, train, validation } = input
  if (!train.outcomes) {
    return [
      {
        name: `${models[input.strong]} over ${models[input.weak]}`,
        train: pairTarget(train, input),
        validation: pairTarget(validation, input),
      },
    ]
  }
  return models.map((name, model) => ({
    name,
    train: outcomeTarget(train, models.length, model),
    validation: outcomeTarget(validation, models.length, model),
  }))
}

/** What is fitted and what judges it. */
interface Part {
  readonly fit: Target
  readonly judge: Target
}

interface PathRecord {
  readonly trainLoss: number
  readonly validationLoss: number
  readonly seconds: number
}

/** Strongest penalty first: the path ends where the judging loss starts to rise. */
async function penaltyPath(
  input: TrainerInput,
  embeddings: Embeddings,
  parts: readonly Part[],
  onStep: (record: PathRecord, step: number, steps: number) => void,
): Promise<{ fit: LogisticFit; l2: number }> {
  const strengths = penalties(input.hyperparameters)
  let best: { fits: LogisticFit[]; loss: number; l2: number } | undefined
  for (const [step, l2] of strengths.entries()) {
    const started = performance.now()
    const fits: LogisticFit[] = []
    let trainLoss = 0
    let loss = 0
    for (const [k, { fit: target, judge }] of parts.entries()) {
      // the neighbouring strength's solution is a good start
      const fit = await solve(input, embeddings, target, l2, best?.fits[k])
      fits.push(fit)
      trainLoss += meanLogLoss(fit, embeddings, target) / parts.length
      loss += meanLogLoss(fit, embeddings, judge) / parts.length
    }
    const seconds = (performance.now() - started) / 1000
    onStep({ trainLoss, validationLoss: loss, seconds }, step, strengths.length)
    if (best && !(loss < best.loss)) break // weaker penalties only overfit more
    best = { fits, loss, l2 }
  }
  return { fit: best!.fits[0]!, l2: best!.l2 }
}

async function solve(
  input: TrainerInput,
  embeddings: Embeddings,
  target: Target,
  l2: number,
  init?: LogisticFit,
): Promise<LogisticFit> {
  input.signal?.throwIfAborted()
  return fitLogistic({
    embeddings,
    ...target,
    l2,
    maxIterations: input.hyperparameters.iterations!,
    tolerance: 1e-5,
    ...(init ? { init: { weights: init.weights, bias: init.bias } } : {}),
    ...(input.signal ? { signal: input.signal } : {}),
  })
}

/** A prompt's rows all fall into one part: row r belongs to part r mod folds. */
function foldTargets(everything: Target, folds: number): Part[] {
  const pick = (keep: (row: number) => boolean): Target => {
    const kept = [...everything.rows.keys()].filter((i) => keep(everything.rows[i]!))
    return target(
      kept.map((i) => everything.rows[i]!),
      kept.map((i) => everything.labels[i]!),
      kept.map((i) => everything.weights[i]!),
    )
  }
  const parts = Array.from({ length: folds }, (_, fold) => ({
    fit: pick((row) => row % folds !== fold),
    judge: pick((row) => row % folds === fold),
  }))
  return parts.filter(({ fit, judge }) => fit.rows.length > 0 && judge.rows.length > 0)
}

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

const shifted = ({ rows }: Target, by: number): Int32Array => rows.map((row) => row + by)

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
    [...first.rows, ...shifted(second, rows)],
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
