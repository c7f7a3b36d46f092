import Type, { type Static } from 'typebox'
import { createRandom, deriveSeed, type Random } from '../../../core/random.ts'
import type { DenseEmbeddings } from '../../../models/encoders/embeddings.ts'
import type { Tensor } from '../../../models/families/family.ts'
import { mf } from '../../../models/families/mf.ts'
import type { FitRows, FitSpec, RowLoss } from '../../engine/engine.ts'
import { defaultsOf, descentSettings, whole, word } from '../settings.ts'
import type { DataSize, Trainer, TrainerInput, TrainingRows } from '../trainer.ts'
import { type Comparisons, comparisons } from './comparisons.ts'
import { denseRows, descentOptions, descentResult, embeddingLookup } from './descent.ts'
import { successFitRows, successLoss } from './success-rows.ts'
import { hasVotes, SMOOTHING, withShrunkVotes } from './targets.ts'

const MF_SETTINGS = Type.Object({
  form: word(
    ['pairwise', 'success'],
    'pairwise: learn from comparisons of two models (Ong et al. 2024); success: learn each model’s probability of success from outcomes (EmbedLLM) and votes, the default where one model answered most prompts',
  ),
  rank: whole(128, 'dimension of the model embeddings', {
    minimum: 1,
    maximum: 4096,
    search: { among: [32, 64, 128, 256] },
  }),
  ...descentSettings({
    batch: 'larger for large logs',
    rate: 3e-4,
    penalised: 'the projection and the output vector',
    l2: 3e-2,
  }),
  pairs_per_prompt: whole(8, 'number of model pairs compared per prompt with outcomes', {
    minimum: 1,
  }),
  smoothing: SMOOTHING,
})
type MfSettings = Static<typeof MF_SETTINGS>

/** The loss of one comparison: cross-entropy of sigmoid(delta_a - delta_b) with a soft label (Ong et al. 2024, eq. 8). */
export const mfLoss: RowLoss = (ops, parameters, batch) => {
  const projected = ops.matmul(batch.embedding!, parameters.projection!)
  const hidden = ops.mul(ops.add(projected, parameters.bias!), parameters.output!)
  const vectors = ops.normaliseRows(parameters.models!)
  const apart = ops.gatherDifference(vectors, batch.a!, batch.b!)
  const delta = ops.sumLast(ops.mul(hidden, apart))
  // softplus(x) - y x is the cross-entropy of sigmoid(x) with label y, without overflow
  return ops.sub(ops.softplus(delta), ops.mul(delta, batch.label!))
}

/** P(model m is right) = sigmoid(w2 . (v_m o (W1 e + b))), for all models at once (EmbedLLM, arXiv 2410.02223). */
export const mfSuccessLoss =
  (models: number): RowLoss =>
  (ops, parameters, batch) => {
    const projected = ops.matmul(batch.embedding!, parameters.projection!)
    const hidden = ops.mul(ops.add(projected, parameters.bias!), parameters.output!)
    const logits = ops.matmul(hidden, parameters.models!, { transposeB: true })
    return successLoss(ops, logits, batch, models)
  }

/** Matrix factorization over any number of models, from preferences or outcomes, with the training engine. */
export const mfTrainer: Trainer<MfSettings> = {
  family: 'mf',
  input: 'dense',
  settings: MF_SETTINGS,
  defaults: defaultsOf(MF_SETTINGS),

  sized({ prompts, votes, models, compared }: DataSize) {
    // where one model answered most prompts there is little to compare
    const single = compared + votes < LEAST_COMPARED * prompts
    const form = single ? { form: 'success' as const } : {}
    const pairs = Math.min((models * (models - 1)) / 2, 8)
    const rows = votes + prompts * (single ? 1 : pairs)
    if (rows <= 50_000) return form
    // Adam's noise scales with the root of the batch (Malladi et al. 2022, arXiv 2205.10287)
    const batch = rows <= 500_000 ? 256 : 1024
    return { ...form, batch_size: batch, learning_rate: 1e-3 * Math.sqrt(batch / 64) }
  },

  async fit(input) {
    const { hyperparameters: settings } = input
    const { spec, data } = settings.form === 'success' ? successFit(input) : pairwiseFit(input)
    const result = await input.engine.fit(
      spec,
      data,
      descentOptions(input, mf, { rows: data.train.rows, width: settings.rank }),
    )
    const form: Tensor = { shape: [1], values: Float32Array.of(1) }
    const { parameters } = result
    return descentResult(
      input,
      result,
      settings.form === 'success' ? { ...parameters, form } : parameters,
    )
  },
}

/** With fewer prompts that two models answered, as a share of all, models are not compared. */
const LEAST_COMPARED = 0.5

type MfInput = TrainerInput<MfSettings>

function pairwiseFit(input: MfInput) {
  const { hyperparameters: settings } = input
  const rowsOf = (split: TrainingRows): FitRows =>
    fitRows(
      comparisons(withShrunkVotes(split, settings.smoothing), input, settings.pairs_per_prompt),
      denseRows(split),
    )
  const data = { train: rowsOf(input.train), validation: rowsOf(input.validation) }
  const random = createRandom(deriveSeed(input.seed, 'mf-init'))
  const { dimension } = input.train.embeddings
  return { spec: mfSpec(input.models.length, dimension, settings, random), data }
}

function successFit(input: MfInput) {
  const models = input.models.length
  const votes = hasVotes(input)
  const random = createRandom(deriveSeed(input.seed, 'mf-init'))
  const spec = mfSpec(models, input.train.embeddings.dimension, input.hyperparameters, random)
  return {
    spec: { ...spec, name: 'mf success', loss: mfSuccessLoss(models) },
    data: {
      train: successFitRows(input.train, denseRows(input.train), models, votes),
      validation: successFitRows(input.validation, denseRows(input.validation), models, votes),
    },
  }
}

/** Model vectors start on a sphere; the projection's scale makes delta of order one. */
export function mfSpec(
  models: number,
  dimension: number,
  { rank, l2 }: Pick<MfSettings, 'rank' | 'l2'>,
  random: Random,
): FitSpec {
  const normal = (shape: readonly number[], deviation: number) => {
    const values = new Float32Array(shape.reduce((product, n) => product * n, 1))
    for (let i = 0; i < values.length; i++) values[i] = deviation * random.normal()
    return { shape, values }
  }
  return {
    name: 'mf',
    loss: mfLoss,
    parameters: {
      models: { ...normal([models, rank], 1), l2: 0 },
      projection: { ...normal([dimension, rank], 1 / Math.sqrt(dimension)), l2 },
      bias: { ...normal([rank], 0), l2: 0 },
      output: { ...normal([rank], 1 / Math.sqrt(rank)), l2 },
    },
  }
}

function fitRows(rows: Comparisons, embeddings: DenseEmbeddings): FitRows {
  return {
    rows: rows.prompt.length,
    columns: { a: rows.modelA, b: rows.modelB, label: rows.label },
    lookups: { embedding: embeddingLookup(embeddings, rows.prompt) },
    weight: rows.weight,
  }
}
