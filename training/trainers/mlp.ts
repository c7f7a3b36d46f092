import Type, { type Static } from 'typebox'
import type { DenseEmbeddings } from '../../models/embeddings.ts'
import { mlp } from '../../models/families/mlp.ts'
import type { Tensor } from '../../models/family.ts'
import { defaultsOf, real, whole } from '../settings.ts'
import type { DataSize, Trainer, TrainingRows } from '../trainer.ts'
import { CLASS_WEIGHT } from './class-weights.ts'
import { descentOptions, descentResult } from './descent.ts'
import { foldScale, inputScale, scaleRows } from './input-scale.ts'
import { headRows, mlpSpec } from './mlp-problem.ts'
import { SMOOTHING } from './shrunk-votes.ts'

const MLP_SETTINGS = Type.Object({
  hidden: whole(64, 'units of the hidden layer; 32 where rows are few', {
    minimum: 1,
    maximum: 8192,
    search: { among: [16, 32, 64, 128, 256] },
  }),
  epochs: whole(100, 'epochs at the most', { minimum: 1, maximum: 100_000 }),
  batch_size: whole(64, 'rows a step; fewer in a small log, more in a large one', {
    minimum: 1,
    maximum: 1_000_000,
  }),
  learning_rate: real(1e-3, 'step size of Adam; grows with the root of the batch', {
    exclusiveMinimum: 0,
    maximum: 1,
    search: { from: 2e-4, to: 3e-3, scale: 'log' },
  }),
  l2: real(1e-3, 'L2 penalty on both layers’ weights', {
    minimum: 0,
    search: { from: 1e-5, to: 1e-1, scale: 'log' },
  }),
  patience: whole(5, 'epochs without a better validation loss before it stops', { minimum: 1 }),
  class_weight: CLASS_WEIGHT,
  smoothing: SMOOTHING,
})
type MlpSettings = Static<typeof MLP_SETTINGS>

/**
 * A classifier with one hidden layer (ReLU): from outcomes a success head a model, from preferences alone one
 * head for the pair. It reads dense embeddings; of `lexical`, its SVD.
 */
export const mlpTrainer: Trainer<MlpSettings> = {
  family: 'mlp',
  input: 'dense',
  settings: MLP_SETTINGS,
  defaults: defaultsOf(MLP_SETTINGS),

  sized({ prompts, votes }: DataSize) {
    const rows = Math.max(prompts, votes)
    // few rows are few steps an epoch: smaller batches, and fewer units to fit
    if (rows < 3_000) return { hidden: 32, batch_size: 32, learning_rate: 2e-3 }
    const batch = rows <= 50_000 ? 64 : rows <= 500_000 ? 256 : 1024
    return { batch_size: batch, learning_rate: 1e-3 * Math.sqrt(batch / 64) }
  },

  async fit(input) {
    const embeddings = dense(input.train)
    const scale = inputScale(embeddings)
    const train = headRows(input, input.train, scaleRows(embeddings, scale))
    const validation = headRows(input, input.validation, scaleRows(dense(input.validation), scale))
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
        // the scaled rows are this fit's own
        consumeTables: true,
      },
    )
    return descentResult(input, result, fold(result.parameters))
  },
}

function dense({ embeddings }: TrainingRows): DenseEmbeddings {
  if (embeddings.kind !== 'dense') throw new TypeError('mlp reads dense embeddings')
  return embeddings
}
