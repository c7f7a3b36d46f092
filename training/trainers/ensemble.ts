import Type, { type Static } from 'typebox'
import {
  clippedLogit,
  ensembleWeights,
  FORWARD,
  type Member,
  memberPair,
} from '../../models/families/ensemble.ts'
import type { HeadWeights, Pair } from '../../models/family.ts'
import type { OnProgress } from '../../models/progress.ts'
import { defaultsOf, whole } from '../settings.ts'
import type { Trainer, TrainerInput, TrainerResult, TrainingRows } from '../trainer.ts'
import { CLASSIFIER_SETTINGS, classifierTrainer } from './classifier.ts'
import { KERNEL_SETTINGS, kernelTrainer } from './kernel.ts'
import { KNN_SETTINGS, knnTrainer } from './knn.ts'
import { mixLogits } from './logit-mix.ts'
import { pairOnly } from './pair-only.ts'
import { pairRows } from './pair-rows.ts'
import { takeTrainingRows } from './take-rows.ts'

/** The members' own, of which one that two have is one setting, and the mix's. */
const ENSEMBLE_SETTINGS = Type.Object({
  ...KNN_SETTINGS.properties,
  ...KERNEL_SETTINGS.properties,
  ...CLASSIFIER_SETTINGS.properties,
  mix_folds: whole(3, 'parts of the train rows that the mix is learned over where rows are few', {
    minimum: 2,
    maximum: 20,
  }),
  mix_folds_below_rows: whole(
    3000,
    'with fewer train rows, parts say what to mix; else validation',
    {
      minimum: 0,
    },
  ),
})
type EnsembleSettings = Static<typeof ENSEMBLE_SETTINGS>
type EnsembleInput = TrainerInput<EnsembleSettings>

/** Every how many of the rows outside a part stops and selects while the mix is learned. */
const SELECTING = 10
/** Train rows a part below which validation says what to mix all the same. */
const LEAST_ROWS = 20

/** Fits a classifier, kernel and knn on the same rows and mixes their logits by what other rows say. */
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
  /** the models that the member's success heads are for, where these are some only */
  readonly columns?: readonly number[]
}

/** In the order of `MEMBERS`. */
async function fitMembers(input: EnsembleInput): Promise<FittedMember[]> {
  // the classifier's heads of other models say nothing of the pair, and there may be thirty of them
  const own = pairOnly(input)
  return [
    { name: 'classifier', result: await classifierTrainer.fit(own), columns: own.columns },
    { name: 'kernel', result: await kernelTrainer.fit(input) },
    { name: 'knn', result: await knnTrainer.fit(input) },
  ]
}

/** A member's logits on rows that it was not fitted on, and the rows' labels. */
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

/** Every train row's opinions by members that were fitted on the other parts. */
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
  // a pair head is for the pair
  if (!columns || weights.tensors.bias!.shape[0] !== columns.length) return weights
  const models = { shape: [columns.length], values: Float32Array.from(columns) }
  return { ...weights, tensors: { ...weights.tensors, models } }
}
