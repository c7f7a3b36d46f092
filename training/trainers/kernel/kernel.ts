import type { Static } from 'typebox'
import Type from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import type { HeadWeights } from '../../../models/families/family.ts'
import type { EpochRecord } from '../../engine/engine.ts'
import { openProducts } from '../../solver/products.ts'
import type { RidgeFit } from '../../solver/ridge.ts'
import { joinRows } from '../neighbours/knn.ts'
import { defaultsOf, neighbourSettings, real, whole } from '../settings.ts'
import type { Trainer } from '../trainer.ts'
import type { Mix } from './choice.ts'
import { fitKernelFeatures, type KernelFeatures, type NystroemFeatures } from './features.ts'
import { kernelRows } from './rows.ts'
import {
  chooseStages,
  type FittedStages,
  fitStages,
  type KernelStages,
  predictedOfAll,
  stageMoments,
} from './stages.ts'

/** Root of the weight of each block's kernel, relative to the words'. */
const ALL = { words: 1, surface: 0.7, meaning: 1 }
const MIXES = [{ ...ALL, meaning: 0 }, { ...ALL, surface: 0 }, ALL]

export const KERNEL_SETTINGS = Type.Object({
  rank: whole(320, 'number of dimensions that the word features are reduced to', {
    minimum: 1,
    maximum: 4096,
  }),
  centres: whole(384, 'number of training prompts that serve as kernel centres', {
    minimum: 1,
    maximum: 8192,
  }),
  surface_width: real(0.4, 'squared distance between surface features at which the kernel is 1/e', {
    exclusiveMinimum: 0,
  }),
  meaning_width: real(
    0.25,
    'squared distance between unit sentence embeddings at which the kernel is 1/e',
    { exclusiveMinimum: 0 },
  ),
  others: real(0.6, 'weight of predictions from other models’ outcomes in the labels of the pair', {
    minimum: 0,
    maximum: 1,
  }),
  factors: whole(
    8,
    'number of common factors of the outcomes that a first stage predicts for the second; 0: no second stage',
    {
      minimum: 0,
      maximum: 64,
    },
  ),
  folds: whole(5, 'number of cross-validation folds that settings are compared on', {
    minimum: 2,
    maximum: 20,
  }),
  ...neighbourSettings('fit again on train and validation rows, once the settings are chosen'),
})
type KernelSettings = Static<typeof KERNEL_SETTINGS>

/**
 * Kernel ridge regression of the models' scores over words, surface and meaning; then a second stage, with
 * the outcomes predicted by the first stage as one more block. Penalties, and which kernels take part, are
 * chosen over folds of the train rows by the correlation of predicted and observed gain.
 */
export const kernelTrainer: Trainer<KernelSettings> = {
  family: 'kernel',
  input: 'sparse',
  settings: KERNEL_SETTINGS,
  defaults: defaultsOf(KERNEL_SETTINGS),

  async fit(input) {
    const { hyperparameters: settings, signal } = input
    const products = await openProducts(input.threads)
    try {
      const features = await fitKernelFeatures(
        input.train.embeddings,
        {
          tail: settings.tail,
          rank: settings.rank,
          centres: settings.centres,
          widths: { surface: settings.surface_width, meaning: settings.meaning_width },
          seed: input.seed,
          signal,
        },
        products,
      )
      const rows = await kernelRows(input.train, input, features, settings.others)
      const folds = Math.min(settings.folds, rows.z.rows)
      if (folds < 2) {
        const what = 'of the pair to learn from'
        throw new WeirError('rows_too_few', { expected: 2, what, got: rows.z.rows })
      }
      const curve: EpochRecord[] = []
      const options = { ...settings, folds, layout: features.parts, mixes: mixesOf(features) }
      const { stages, moments } = await chooseStages(input, rows, options, curve, products)
      const { models } = input
      const fitted = fitStages(moments, stages, models.length)
      const heldOut = await kernelHead(models, features, stages, fitted)
      const refit = async (): Promise<HeadWeights> => {
        const all = await kernelRows(joinRows(input), input, features, settings.others)
        const predicted = await predictedOfAll(all, stages, fitted, products)
        const more = await stageMoments(all, predicted, stages, products)
        return kernelHead(models, features, stages, fitStages(more, stages, models.length))
      }
      const { mix, l2, slope } = stages.second ?? stages.first
      const share = (name: string): number => (mix[name] ?? 0) ** 2
      return {
        weights: settings.refit === 1 ? await refit() : heldOut,
        heldOut,
        hyperparameters: {
          ...settings,
          l2,
          slope,
          surface_weight: share('surface'),
          meaning_weight: share('meaning'),
          predicted_weight: share('predicted'),
        },
        curve,
        backend: 'cholesky',
      }
    } finally {
      await products.close()
    }
  },
}

/** The mixes that are possible with these features; only the words if there is nothing else. */
function mixesOf({ parts }: KernelFeatures): readonly Mix[] {
  const has = (name: string): boolean => parts.some((part) => part.name === name)
  const mixes = MIXES.filter(
    ({ surface, meaning }) =>
      (surface === 0 || has('surface')) && (meaning === 0 || has('meaning')),
  )
  return mixes.length > 0 ? mixes : [ALL]
}

const NONE: RidgeFit = {
  weights: new Float64Array(0),
  bias: new Float64Array(0),
  means: new Float64Array(0),
}

/** The stages' fits as the family's tensors: columns 0 to m - 1 are the models, the factors follow. */
async function kernelHead(
  models: readonly string[],
  features: KernelFeatures,
  stages: KernelStages,
  fitted: FittedStages,
): Promise<HeadWeights> {
  const { first, second } = stages
  const { mix, slope } = second ?? first
  const m = models.length
  const d = features.dimension
  const { scores, factors = NONE } = fitted
  const scale = second?.outcomes.scale ?? 1
  const outputs = m + factors.bias.length
  const weights = new Float64Array(d * outputs)
  for (let j = 0; j < d; j++) {
    for (let k = 0; k < m; k++) weights[j * outputs + k] = slope * scores.weights[j * m + k]!
    for (let c = m; c < outputs; c++) {
      weights[j * outputs + c] = scale * factors.weights[j * (outputs - m) + c - m]!
    }
  }
  const shrunk = scores.bias.map((bias, k) => scores.means[k]! + slope * (bias - scores.means[k]!))
  const bias = Float32Array.of(...shrunk, ...factors.bias.map((value) => scale * value))
  const left = features.parts.filter(({ name }) => !mix[name]).map(({ name }) => `${name}.`)
  const tensors = Object.entries(await features.tensors(weights, outputs))
  return {
    models,
    tensors: {
      ...Object.fromEntries(
        tensors.filter(([name]) => !left.some((part) => name.startsWith(part))),
      ),
      bias: { shape: [outputs], values: bias },
      ...(second && (await predictedTensors(second.outcomes.nystroem, scores, d, slope))),
    },
  }
}

/** The second stage's kernel, whose weights follow those of the `d` features. */
async function predictedTensors(
  nystroem: NystroemFeatures,
  { weights, bias }: RidgeFit,
  d: number,
  slope: number,
): Promise<HeadWeights['tensors']> {
  const m = bias.length
  const values = Float32Array.from(weights.subarray(d * m), (weight) => slope * weight)
  const tensors = await nystroem.fold({ rows: nystroem.columns, columns: m, values })
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [`predicted.${name}`, tensor]),
  )
}
