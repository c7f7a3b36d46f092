import type { DenseEmbeddings } from '../../models/embeddings.ts'
import { createRandom, deriveSeed, type Random } from '../../models/random.ts'
import type { FitRows, FitSpec, RowLoss } from '../engine/engine.ts'
import type { Trainer, TrainingRows } from '../trainer.ts'
import { type Comparisons, comparisons } from './comparisons.ts'

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

/** Matrix factorization over any number of models, from preferences or outcomes, on the training engine. */
export const mfTrainer: Trainer = {
  family: 'mf',
  input: 'dense',
  defaults: {
    rank: 128,
    epochs: 100,
    batch_size: 64,
    learning_rate: 1e-3,
    l2: 1e-3,
    patience: 5,
    pairs_per_prompt: 8,
  },

  async fit(input) {
    const { hyperparameters: settings } = input
    const train = comparisons(input.train, input, settings.pairs_per_prompt!)
    const validation = comparisons(input.validation, input, settings.pairs_per_prompt!)
    const embeddings = dense(input.train)
    const random = createRandom(deriveSeed(input.seed, 'mf-init'))
    const result = await input.engine.fit(
      mfSpec(input.models.length, embeddings.dimension, settings, random),
      {
        train: fitRows(train, embeddings),
        validation: fitRows(validation, dense(input.validation)),
      },
      {
        epochs: settings.epochs!,
        batchSize: Math.min(settings.batch_size!, train.prompt.length),
        learningRate: settings.learning_rate!,
        patience: settings.patience!,
        seed: deriveSeed(input.seed, 'mf-shuffle'),
        threads: input.threads,
        ...(input.checkpoint ? { checkpoint: input.checkpoint } : {}),
        ...(input.signal ? { signal: input.signal } : {}),
        ...(input.onProgress ? { onProgress: input.onProgress } : {}),
      },
    )
    return {
      weights: { models: input.models, tensors: result.parameters },
      hyperparameters: settings,
      curve: result.epochs,
      backend: result.backend,
      stopped: result.stopped,
    }
  },
}

/** Model vectors start on a sphere, the projection at the scale that keeps delta of order one. */
export function mfSpec(
  models: number,
  dimension: number,
  settings: Readonly<Record<string, number>>,
  random: Random,
): FitSpec {
  const rank = settings.rank!
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
      projection: { ...normal([dimension, rank], 1 / Math.sqrt(dimension)), l2: settings.l2! },
      bias: { ...normal([rank], 0), l2: 0 },
      output: { ...normal([rank], 1 / Math.sqrt(rank)), l2: settings.l2! },
    },
  }
}

function fitRows(rows: Comparisons, embeddings: DenseEmbeddings): FitRows {
  return {
    rows: rows.prompt.length,
    columns: { a: rows.modelA, b: rows.modelB, label: rows.label },
    lookups: {
      embedding: {
        table: { shape: [embeddings.rows, embeddings.dimension], values: embeddings.values },
        index: rows.prompt,
      },
    },
    weight: rows.weight,
  }
}

function dense({ embeddings }: TrainingRows): DenseEmbeddings {
  if (embeddings.kind !== 'dense') throw new TypeError('mf reads dense embeddings')
  return embeddings
}
