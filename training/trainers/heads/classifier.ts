import type { Static } from 'typebox'
import Type from 'typebox'
import { concatenate } from '../../../models/encoders/embeddings.ts'
import type { HeadWeights } from '../../../models/families/family.ts'
import type { EpochRecord } from '../../engine/engine.ts'
import type { LogisticFit } from '../../solver/logistic.ts'
import { defaultsOf, real, whole } from '../settings.ts'
import type { SharedFit, Trainer, TrainerInput } from '../trainer.ts'
import { fitEfforts } from './efforts.ts'
import { fitJointly } from './joint.ts'
import { type PathInput, penaltyPath, solveHead } from './penalty-path.ts'
import {
  CLASS_WEIGHT,
  foldTargets,
  type HeadTargets,
  hasPairVotes,
  headTargets,
  joinTargets,
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
 * fitted with that strength to all of these rows. Heads of one model's efforts are fitted together. Where the
 * log has votes on the pair beside scores, the pair's heads are then fitted to both together, unless one is such an
 * effort's.
 */
export const classifierTrainer: Trainer<ClassifierSettings> = {
  family: 'classifier',
  input: 'sparse',
  settings: CLASSIFIER_SETTINGS,
  defaults: defaultsOf(CLASSIFIER_SETTINGS),
  sharesEfforts: true,

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
    const efforts = input.efforts ?? []
    const together = new Set(efforts.flat())
    for (const [index, head] of heads.entries()) {
      if (together.has(index)) continue
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
      strengths[index] = chosen.l2
      heldOut[index] = few ? await solveHead(path, head.train, chosen.l2) : chosen.fit
      if (settings.refit === 1) {
        refitted[index] = await solveHead(path, everything, chosen.l2, chosen.fit)
      }
    }
    const shared: SharedFit[] = []
    for (const tiers of efforts) {
      const fitted = await fitEfforts(path, {
        heads: tiers.map((tier) => heads[tier]!),
        trainRows: rows,
        onStep: (record, step, steps) => {
          curve.push({ epoch: curve.length, ...record })
          input.onProgress?.({
            stage: 'fitting efforts together',
            done: step + 1,
            total: steps,
            note: `validation log-loss ${record.validationLoss.toFixed(4)}`,
          })
        },
      })
      for (const [t, tier] of tiers.entries()) {
        heldOut[tier] = fitted.heldOut[t]!
        if (settings.refit === 1) refitted[tier] = fitted.refitted[t]!
      }
      shared.push(fitted.shared)
    }
    if (!together.has(input.strong) && !together.has(input.weak)) {
      await addVotes(input, path, { heads, strengths, heldOut, refitted })
    }
    const first = joinHeads(input.models, all.dimension, heldOut)
    return {
      ...(settings.refit === 1
        ? { weights: joinHeads(input.models, all.dimension, refitted), heldOut: first }
        : { weights: first }),
      hyperparameters: settings,
      curve,
      ...(shared.length > 0 && { shared }),
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
