import type { Static } from 'typebox'
import Type from 'typebox'
import { concatenate, type Embeddings } from '../../../models/encoders/embeddings.ts'
import type { HeadWeights } from '../../../models/families/family.ts'
import { linearLogits, sigmoid } from '../../../models/families/linear-head.ts'
import type { EpochRecord } from '../../engine/engine.ts'
import { fitLogistic, type LogisticFit } from '../../solver/logistic.ts'
import { defaultsOf, real, whole } from '../settings.ts'
import type { Trainer, TrainerInput } from '../trainer.ts'
import { fitJointly } from './joint.ts'
import {
  CLASS_WEIGHT,
  foldTargets,
  type HeadTargets,
  hasPairVotes,
  headTargets,
  joinTargets,
  type Part,
  pairTarget,
  SMOOTHING,
  shiftRows,
  type Target,
  withClassWeight,
  withShrunkVotes,
} from './targets.ts'

export const CLASSIFIER_SETTINGS = Type.Object({
  l2_min: real(0.5, 'smallest L2 penalty to try', {
    exclusiveMinimum: 0,
    search: { from: 0.05, to: 3, scale: 'log' },
  }),
  l2_max: real(30, 'largest L2 penalty to try; the path starts here', {
    exclusiveMinimum: 0,
    search: { from: 5, to: 300, scale: 'log' },
  }),
  l2_steps: whole(5, 'number of penalties to try from l2_max to l2_min', {
    minimum: 1,
    maximum: 100,
    search: { among: [4, 6, 8] },
  }),
  iterations: whole(200, 'maximum number of L-BFGS iterations', { minimum: 1, maximum: 100_000 }),
  refit: whole(1, '1: fit again on train and validation rows, once the penalty is chosen', {
    minimum: 0,
    maximum: 1,
  }),
  folds: whole(5, 'number of cross-validation folds that choose the penalty in small logs', {
    minimum: 2,
    maximum: 50,
  }),
  folds_below_rows: whole(
    3000,
    'with fewer rows per head than this, the penalty is chosen by cross-validation; otherwise on the validation rows',
    {
      minimum: 0,
    },
  ),
  class_weight: CLASS_WEIGHT,
  smoothing: SMOOTHING,
})
export type ClassifierSettings = Static<typeof CLASSIFIER_SETTINGS>

/**
 * Linear heads by penalised logistic regression: from outcomes one success head per model (soft labels are
 * the scores), from preferences alone one head for the pair. The objective is convex, so it is solved by
 * L-BFGS with every engine. The strength of the L2 penalty is the one with the lowest log-loss on validation
 * or, if a head has few rows, over folds of train and validation together. With `refit`, the head is then
 * fitted with that strength to all of these rows. Where the log has votes on the pair beside scores, the pair's
 * heads are then fitted to both together.
 */
export const classifierTrainer: Trainer<ClassifierSettings> = {
  family: 'classifier',
  input: 'sparse',
  settings: CLASSIFIER_SETTINGS,
  defaults: defaultsOf(CLASSIFIER_SETTINGS),

  async fit(input) {
    const { train, validation, hyperparameters: settings, signal } = input
    const rows = train.embeddings.rows
    const all = concatenate([train.embeddings, validation.embeddings])
    const path = { embeddings: all, settings, signal }
    const heads = headTargets({
      ...input,
      train: withShrunkVotes(train, settings.smoothing),
      validation: withShrunkVotes(validation, settings.smoothing),
    }).map((head) => weighted(head, settings))
    const curve: EpochRecord[] = []
    const strengths: number[] = []
    const heldOut: LogisticFit[] = []
    const refitted: LogisticFit[] = []
    for (const [index, head] of heads.entries()) {
      const everything = joinTargets(head.train, head.validation, rows)
      const few = everything.rows.length < settings.folds_below_rows
      const parts = few
        ? foldTargets(everything, settings.folds)
        : [{ fit: head.train, judge: shiftRows(head.validation, rows) }]
      const chosen = await penaltyPath(path, parts, (record, step, steps) => {
        curve.push({ epoch: curve.length, ...record })
        input.onProgress?.({
          stage: 'fitting classifier',
          done: index * steps + step + 1,
          total: heads.length * steps,
          note: `${head.name}: validation log-loss ${record.validationLoss.toFixed(4)}`,
        })
      })
      strengths.push(chosen.l2)
      heldOut.push(few ? await solveHead(path, head.train, chosen.l2) : chosen.fit)
      if (settings.refit === 1) {
        refitted.push(await solveHead(path, everything, chosen.l2, chosen.fit))
      }
    }
    await addVotes(input, path, { heads, strengths, heldOut, refitted })
    const first = joinHeads(input.models, all.dimension, heldOut)
    return {
      ...(settings.refit === 1
        ? { weights: joinHeads(input.models, all.dimension, refitted), heldOut: first }
        : { weights: first }),
      hyperparameters: settings,
      curve,
      backend: 'lbfgs',
    }
  },
}

/**
 * Where the log has votes on the pair beside scores, replaces the pair's heads by ones fitted to both together.
 */
async function addVotes(
  { train, validation, strong, weak, models, hyperparameters }: TrainerInput<ClassifierSettings>,
  { embeddings, settings, signal }: PathInput,
  given: {
    readonly heads: readonly HeadTargets[]
    readonly strengths: readonly number[]
    readonly heldOut: LogisticFit[]
    readonly refitted: LogisticFit[]
  },
): Promise<void> {
  const pair = { strong, weak, models }
  if (!train.outcomes || !hasPairVotes(train, pair)) return
  const rows = train.embeddings.rows
  const { smoothing } = hyperparameters
  const own = pairTarget(withShrunkVotes(train, smoothing), pair)
  const held = hasPairVotes(validation, pair)
    ? pairTarget(withShrunkVotes(validation, smoothing), pair)
    : undefined
  const refit = async (
    fits: LogisticFit[],
    votes: Target,
    scores: (head: HeadTargets) => Target,
  ): Promise<void> => {
    if (fits.length === 0) return
    const joint = await fitJointly({
      embeddings,
      strong: scores(given.heads[strong]!),
      weak: scores(given.heads[weak]!),
      votes,
      from: { strong: fits[strong]!, weak: fits[weak]! },
      l2: { strong: given.strengths[strong]!, weak: given.strengths[weak]! },
      maxIterations: settings.iterations,
      signal,
    })
    fits[strong] = joint.strong
    fits[weak] = joint.weak
  }
  await refit(given.heldOut, own, ({ train }) => train)
  await refit(given.refitted, held ? joinTargets(own, held, rows) : own, (head) =>
    joinTargets(head.train, head.validation, rows),
  )
}

/** Validation uses the same loss, so that the penalty is chosen for the loss that is fitted. */
function weighted(head: HeadTargets, { class_weight }: ClassifierSettings): HeadTargets {
  return {
    name: head.name,
    train: withClassWeight(head.train, class_weight),
    validation: withClassWeight(head.validation, class_weight),
  }
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

export interface PathSettings {
  readonly l2_min: number
  readonly l2_max: number
  readonly l2_steps: number
  readonly iterations: number
}

export interface PathRecord {
  readonly trainLoss: number
  readonly validationLoss: number
  readonly seconds: number
}

export interface PathInput {
  readonly embeddings: Embeddings
  readonly settings: PathSettings
  readonly signal?: AbortSignal | undefined
}

/** Starts with the strongest penalty and ends where the validation loss starts to rise. */
async function penaltyPath(
  input: PathInput,
  parts: readonly Part[],
  onStep: (record: PathRecord, step: number, steps: number) => void,
): Promise<{ fit: LogisticFit; l2: number }> {
  const strengths = penalties(input.settings)
  if (parts.length === 0) {
    // a model that was never scored: its head says 1/2
    const none = {
      rows: new Int32Array(0),
      labels: new Float32Array(0),
      weights: new Float32Array(0),
    }
    return { fit: await solveHead(input, none, strengths[0]!), l2: strengths[0]! }
  }
  let best: { fits: LogisticFit[]; loss: number; l2: number } | undefined
  for (const [step, l2] of strengths.entries()) {
    const started = performance.now()
    const fits: LogisticFit[] = []
    let trainLoss = 0
    let loss = 0
    for (const [k, { fit: target, judge }] of parts.entries()) {
      // the solution for the neighbouring strength is a good starting point
      const fit = await solveHead(input, target, l2, best?.fits[k])
      fits.push(fit)
      trainLoss += meanLogLoss(fit, input.embeddings, target) / parts.length
      loss += meanLogLoss(fit, input.embeddings, judge) / parts.length
    }
    const seconds = (performance.now() - started) / 1000
    onStep({ trainLoss, validationLoss: loss, seconds }, step, strengths.length)
    if (best && !(loss < best.loss)) break // weaker penalties only overfit more
    best = { fits, loss, l2 }
  }
  return { fit: best!.fits[0]!, l2: best!.l2 }
}

/** One head at one penalty, started from a neighbouring solution if there is one. */
async function solveHead(
  { embeddings, settings, signal }: PathInput,
  target: Target,
  l2: number,
  init?: LogisticFit,
): Promise<LogisticFit> {
  signal?.throwIfAborted()
  return fitLogistic({
    embeddings,
    ...target,
    l2,
    maxIterations: settings.iterations,
    tolerance: 1e-5,
    ...(init ? { init: { weights: init.weights, bias: init.bias } } : {}),
    signal,
  })
}

function penalties({ l2_min: low, l2_max: high, l2_steps: steps }: PathSettings): number[] {
  if (steps <= 1) return [high]
  return Array.from({ length: steps }, (_, i) => high * (low / high) ** (i / (steps - 1)))
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
