import type { Static } from 'typebox'
import Type from 'typebox'
import type { OnProgress } from '../../../core/progress.ts'
import {
  clippedLogit,
  ensembleWeights,
  FORWARD,
  type Member,
  memberPair,
} from '../../../models/families/ensemble.ts'
import type { HeadWeights, Pair } from '../../../models/families/family.ts'
import { sigmoid } from '../../../models/families/linear-head.ts'
import { choleskySolve } from '../../solver/ridge.ts'
import { CLASSIFIER_SETTINGS, classifierTrainer } from '../heads/classifier.ts'
import { KERNEL_SETTINGS, kernelTrainer } from '../kernel/kernel.ts'
import { KNN_SETTINGS, knnTrainer } from '../neighbours/knn.ts'
import { pairRows } from '../pair-rows.ts'
import { defaultsOf, type Settings, whole } from '../settings.ts'
import { takeTrainingRows } from '../splits.ts'
import type {
  OutcomeColumns,
  Trainer,
  TrainerInput,
  TrainerResult,
  TrainingRows,
} from '../trainer.ts'

/** The members' settings, where a name that two members share is one setting, and the settings of the mix. */
const ENSEMBLE_SETTINGS = Type.Object({
  ...KNN_SETTINGS.properties,
  ...KERNEL_SETTINGS.properties,
  ...CLASSIFIER_SETTINGS.properties,
  mix_folds: whole(
    3,
    'number of cross-validation folds on which the mix is learned in small logs',
    {
      minimum: 2,
      maximum: 20,
    },
  ),
  mix_folds_below_rows: whole(
    3000,
    'with fewer train rows than this, the mix is learned by cross-validation; otherwise on the validation rows',
    {
      minimum: 0,
    },
  ),
})
type EnsembleSettings = Static<typeof ENSEMBLE_SETTINGS>
type EnsembleInput = TrainerInput<EnsembleSettings>

/** One of this many of the remaining rows is used to stop and to select while the mix is learned. */
const SELECTING = 10
/** With fewer train rows per part, the mix is learned on validation. */
const LEAST_ROWS = 20

/** Fits a classifier, kernel and knn on the same rows and mixes their logits with weights learned on other rows. */
export const ensembleTrainer: Trainer<EnsembleSettings> = {
  family: 'ensemble',
  input: 'sparse',
  settings: ENSEMBLE_SETTINGS,
  defaults: defaultsOf(ENSEMBLE_SETTINGS),

  async fit(input) {
    const { hyperparameters, models, train, validation } = input
    const members = await fitMembers(input)
    const { mix_folds, mix_folds_below_rows } = hyperparameters
    const few = train.embeddings.rows < mix_folds_below_rows
    const opinions =
      few && train.embeddings.rows >= LEAST_ROWS * mix_folds
        ? await crossFitted(input)
        : opinionsOf(members, 'heldOut', validation, input)
    const mix = mixLogits(opinions.logits, opinions.labels)
    const joined = (which: 'weights' | 'heldOut'): HeadWeights =>
      ensembleWeights(
        models,
        Object.fromEntries(members.map((member) => [member.name, weightsOf(member, which)])),
        mix,
      )
    const shares = members.map(({ name }, i) => [`mix_${name}`, mix[i]!] as const)
    return {
      weights: joined('weights'),
      heldOut: joined('heldOut'),
      hyperparameters: { ...hyperparameters, ...Object.fromEntries(shares) },
      curve: members
        .flatMap(({ result }) => result.curve)
        .map((record, epoch) => ({ ...record, epoch })),
      backend: members.map(({ result }) => result.backend).join(', '),
    }
  },
}

interface FittedMember {
  readonly name: Member
  readonly result: TrainerResult
  /** the models that the member's success heads are for, if not all */
  readonly columns?: readonly number[]
}

/** The fitted members, in the order of `MEMBERS`. */
async function fitMembers(input: EnsembleInput): Promise<FittedMember[]> {
  // the classifier's heads of other models do not affect the pair, and there may be thirty of them
  const own = pairOnly(input)
  return [
    { name: 'classifier', result: await classifierTrainer.fit(own), columns: own.columns },
    { name: 'kernel', result: await kernelTrainer.fit(input) },
    { name: 'knn', result: await knnTrainer.fit(input) },
  ]
}

/** The members' logits on rows that they were not fitted on, and the rows' labels. */
interface Opinions {
  readonly logits: readonly Float64Array[]
  readonly labels: Float64Array
}

function opinionsOf(
  members: readonly FittedMember[],
  which: 'weights' | 'heldOut',
  rows: TrainingRows,
  input: Pair & Pick<TrainerInput, 'models'>,
): Opinions {
  const observed = pairRows(rows, input)
  const logits = members.map((member) => {
    const weights = weightsOf(member, which)
    const pair = memberPair(weights, input)
    const { winRate } = FORWARD[member.name].forward(weights, pair, rows.embeddings)
    return Float64Array.from(observed.rows, (row) => clippedLogit(winRate[row]!))
  })
  return { logits, labels: observed.y }
}

/** Logits of every train row by members that were fitted on the other parts. */
async function crossFitted(input: EnsembleInput): Promise<Opinions> {
  const { train, hyperparameters } = input
  const folds = hyperparameters.mix_folds
  const all = Array.from({ length: train.embeddings.rows }, (_, row) => row)
  const parts: Opinions[] = []
  for (let fold = 0; fold < folds; fold++) {
    const rest = all.filter((row) => row % folds !== fold)
    const onProgress: OnProgress = ({ stage, ...progress }) =>
      input.onProgress?.({ stage: `mixing, part ${fold + 1} of ${folds}, ${stage}`, ...progress })
    const members = await fitMembers({
      ...input,
      onProgress,
      train: takeTrainingRows(
        train,
        rest.filter((_, i) => i % SELECTING > 0),
      ),
      validation: takeTrainingRows(
        train,
        rest.filter((_, i) => i % SELECTING === 0),
      ),
    })
    const held = takeTrainingRows(
      train,
      all.filter((row) => row % folds === fold),
    )
    parts.push(opinionsOf(members, 'weights', held, input))
  }
  const stack = (columns: readonly Float64Array[]): Float64Array =>
    Float64Array.from(columns.flatMap((column) => [...column]))
  return {
    logits: parts[0]!.logits.map((_, k) => stack(parts.map(({ logits }) => logits[k]!))),
    labels: stack(parts.map(({ labels }) => labels)),
  }
}

function weightsOf({ result, columns }: FittedMember, which: 'weights' | 'heldOut'): HeadWeights {
  const weights = result[which] ?? result.weights
  // a pair head has no columns to expand
  if (!columns || weights.tensors.bias!.shape[0] !== columns.length) return weights
  const models = { shape: [columns.length], values: Float32Array.from(columns) }
  return { ...weights, tensors: { ...weights.tensors, models } }
}

/** Prior standard deviation of a member's weight around an equal share of 1. */
const PRIOR_DEVIATION = 0.3
const NEWTON_STEPS = 50

/**
 * The weight of each member's logit in sigmoid(sum of a_k logit_k): the posterior mode under a Gaussian prior
 * around equal shares that sum to 1. With few rows the weights stay near equal, since which member does best
 * on fifty rows is mostly chance; with many rows the data decide. Weights are 0 or more.
 *
 * @param logits per member, one logit per label
 * @param labels in [0, 1]
 */
export function mixLogits(
  logits: readonly Float64Array[],
  labels: ArrayLike<number>,
): readonly number[] {
  const kept = new Set(logits.keys())
  for (;;) {
    const weights = posteriorMode(
      [...kept].map((k) => logits[k]!),
      labels,
      1 / logits.length,
    )
    const least = weights.indexOf(Math.min(...weights))
    if (weights[least]! >= 0) {
      const places = [...kept]
      return logits.map((_, k) => (kept.has(k) ? weights[places.indexOf(k)]! : 0))
    }
    kept.delete([...kept][least]!)
  }
}

/** Newton's method; the objective is convex. */
function posteriorMode(
  logits: readonly Float64Array[],
  labels: ArrayLike<number>,
  prior: number,
): Float64Array {
  const size = logits.length
  const precision = 1 / PRIOR_DEVIATION ** 2
  const weights = new Float64Array(size).fill(prior)
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const hessian = new Float64Array(size * size)
    const gradient = weights.map((weight) => precision * (weight - prior))
    for (let k = 0; k < size; k++) hessian[k * size + k] = precision
    for (let i = 0; i < labels.length; i++) {
      let logit = 0
      for (let k = 0; k < size; k++) logit += weights[k]! * logits[k]![i]!
      const p = sigmoid(logit)
      for (let k = 0; k < size; k++) {
        const own = logits[k]![i]!
        gradient[k]! += (p - labels[i]!) * own
        for (let l = 0; l <= k; l++) hessian[k * size + l]! += p * (1 - p) * own * logits[l]![i]!
      }
    }
    choleskySolve(hessian, size, gradient, 1)
    let moved = 0
    for (let k = 0; k < size; k++) {
      weights[k]! -= gradient[k]!
      moved = Math.max(moved, Math.abs(gradient[k]!))
    }
    if (moved < 1e-9) break
  }
  return weights
}

/** The same rows with only the pair's outcomes. */
export type PairOnly<S extends Settings> = TrainerInput<S> & {
  /** the kept models' columns among all models, ascending */
  readonly columns: readonly number[]
}

/** Votes stay unchanged: families separate the pair's votes from others. */
export function pairOnly<S extends Settings>(input: TrainerInput<S>): PairOnly<S> {
  const { models, train, validation, strong, weak } = input
  const all = { ...input, columns: [...models.keys()] }
  if (models.length === 2 || !train.outcomes || train.preferences) return all
  const columns = [Math.min(strong, weak), Math.max(strong, weak)]
  const reduced = (split: TrainingRows): TrainingRows => ({
    ...split,
    ...(split.outcomes && { outcomes: picked(split.outcomes, models.length, columns) }),
  })
  return {
    ...input,
    columns,
    models: columns.map((k) => models[k]!),
    strong: columns.indexOf(strong),
    weak: columns.indexOf(weak),
    train: reduced(train),
    validation: reduced(validation),
  }
}

function picked(
  { scores, tokens }: OutcomeColumns,
  m: number,
  columns: readonly number[],
): OutcomeColumns {
  const take = (table: Float32Array): Float32Array => {
    const width = columns.length
    const taken = new Float32Array((table.length / m) * width)
    for (let at = 0; at < taken.length; at++) {
      taken[at] = table[Math.floor(at / width) * m + columns[at % width]!]!
    }
    return taken
  }
  return { scores: take(scores), ...(tokens && { tokens: take(tokens) }) }
}
