import Type, { type Static } from 'typebox'
import { type Embeddings, takeRows } from '../../models/embeddings.ts'
import { WeirError } from '../../models/errors.ts'
import type { HeadWeights } from '../../models/family.ts'
import type { EpochRecord } from '../engine/engine.ts'
import { defaultsOf, real, whole } from '../settings.ts'
import { type DenseMatrix, openProducts, type Products } from '../solver/products.ts'
import { addMoments, type Moments, momentsOf, ridgePath, solveRidge } from '../solver/ridge.ts'
import type { Trainer, TrainerInput } from '../trainer.ts'
import { fitKernelFeatures, type KernelFeatures } from './kernel-features.ts'
import { joinRows } from './knn.ts'
import { knownOfOthers } from './known-of-others.ts'
import { neighbourTensors, observedRows as pairObserved } from './neighbour-rows.ts'

/** Strongest first. */
const PENALTIES = [30, 12, 6, 3]
/** Root of the weight of each block's kernel beside the words'. */
const MIXES = [
  { words: 1, surface: 0.7, meaning: 0 },
  { words: 1, surface: 0, meaning: 1 },
  { words: 1, surface: 0.7, meaning: 1 },
] as const
/** How far the fitted gain may be stretched or shrunk to what folds show; 0.05 where they show none. */
const SLOPES = { least: 0.05, most: 1.5 }

export const KERNEL_SETTINGS = Type.Object({
  rank: whole(320, 'dimensions that the words are reduced to', { minimum: 1, maximum: 4096 }),
  centres: whole(384, 'training prompts that others are compared with', {
    minimum: 1,
    maximum: 8192,
  }),
  surface_width: real(0.4, 'squared distance of surface features at which a centre counts 1/e', {
    exclusiveMinimum: 0,
  }),
  meaning_width: real(0.25, 'the same of sentence embeddings at norm 1', { exclusiveMinimum: 0 }),
  others: real(0.6, 'share of what other models’ outcomes say of the pair in its labels', {
    minimum: 0,
    maximum: 1,
  }),
  folds: whole(3, 'parts of the train rows that settings are compared over', {
    minimum: 2,
    maximum: 20,
  }),
  tail: whole(
    0,
    'of sparse rows, how many of the last columns are the dense ones; set by --encoder',
    { minimum: 0 },
  ),
  refit: whole(1, '1: fitted again with the validation rows', { minimum: 0, maximum: 1 }),
})
type KernelSettings = Static<typeof KERNEL_SETTINGS>
type Mix = (typeof MIXES)[number]

interface Choice {
  readonly mix: Mix
  readonly l2: number
  readonly slope: number
}

/**
 * Kernel ridge regression of the models' scores over words, surface and meaning. The penalty, and which of the
 * kernels take part, are chosen over folds of the train rows by the correlation of predicted and observed gain.
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
          ...(signal ? { signal } : {}),
        },
        products,
      )
      const train = await observedRows(input.train, input, features)
      const folds = Math.min(settings.folds, train.z.rows)
      if (folds < 2) {
        const what = 'of the pair to learn from'
        throw new WeirError('rows_too_few', { expected: 2, what, got: train.z.rows })
      }
      const parts = await partsOf(train, folds, products)
      const curve: EpochRecord[] = []
      const choice = await choose(input, features, parts, curve)
      const whole = addMoments(parts.map(({ moments }) => moments))
      const heldOut = await headOf(input, features, whole, choice)
      const all = await observedRows(joinRows(input), input, features)
      const weights =
        settings.refit === 1
          ? await headOf(input, features, await momentsOf(all.z, all.targets, products), choice)
          : heldOut
      const { l2, slope, mix } = choice
      return {
        weights,
        heldOut,
        hyperparameters: {
          ...settings,
          l2,
          slope,
          surface_weight: mix.surface ** 2,
          meaning_weight: mix.meaning ** 2,
        },
        curve,
        backend: 'cholesky',
      }
    } finally {
      await products.close()
    }
  },
}

interface ObservedRows {
  readonly z: DenseMatrix
  /** a column a model, the pair's own with less luck in them */
  readonly targets: DenseMatrix
  /** the pair's observed gain, as it is */
  readonly gain: Float64Array
}

/** Rows on which the pair was observed: features, targets and gain. */
async function observedRows(
  split: TrainerInput['train'],
  input: TrainerInput<KernelSettings>,
  features: KernelFeatures,
): Promise<ObservedRows> {
  const m = input.models.length
  const { strong, weak } = input
  const rows = pairObserved(split, input)
  // a model's mean where it was not observed, shares of votes where there are no outcomes
  const scores = neighbourTensors(split, input, 0).scores!.values
  const gain = Float64Array.from(rows, (_, i) => scores[i * m + strong]! - scores[i * m + weak]!)
  const values = scores.slice()
  const share = input.hyperparameters.others
  const known = split.outcomes ? knownOfOthers(scores, m, input) : undefined
  if (known) {
    for (let i = 0; i < rows.length; i++) {
      values[i * m + strong]! += share * (known[i * 2]! - scores[i * m + strong]!)
      values[i * m + weak]! += share * (known[i * 2 + 1]! - scores[i * m + weak]!)
    }
  }
  const embeddings: Embeddings = takeRows(split.embeddings, rows)
  return {
    z: await features.of(embeddings),
    targets: { rows: rows.length, columns: m, values },
    gain,
  }
}

interface FoldPart {
  readonly moments: Moments
  readonly z: DenseMatrix
  readonly gain: Float64Array
}

async function partsOf(all: ObservedRows, folds: number, products: Products): Promise<FoldPart[]> {
  const parts: FoldPart[] = []
  for (let fold = 0; fold < folds; fold++) {
    const rows = [...all.gain.keys()].filter((row) => row % folds === fold)
    const z = pick(all.z, rows)
    parts.push({
      z,
      moments: await momentsOf(z, pick(all.targets, rows), products),
      gain: Float64Array.from(rows, (row) => all.gain[row]!),
    })
  }
  return parts
}

function pick({ columns, values }: DenseMatrix, rows: readonly number[]): DenseMatrix {
  const out = new Float32Array(rows.length * columns)
  rows.forEach((row, at) => {
    out.set(values.subarray(row * columns, (row + 1) * columns), at * columns)
  })
  return { rows: rows.length, columns, values: out }
}

async function choose(
  input: TrainerInput<KernelSettings>,
  features: KernelFeatures,
  parts: readonly FoldPart[],
  curve: EpochRecord[],
): Promise<Choice> {
  const has = (name: string): boolean => features.parts.some((part) => part.name === name)
  const mixes = MIXES.filter(
    ({ surface, meaning }) =>
      (surface === 0 || has('surface')) && (meaning === 0 || has('meaning')),
  )
  const total = Math.max(mixes.length, 1) * PENALTIES.length
  let best: (Choice & { readonly found: number }) | undefined
  for (const mix of mixes.length > 0 ? mixes : [MIXES[2]]) {
    const started = performance.now()
    const seen = PENALTIES.map(() => ({ product: 0, predicted: 0, observed: 0 }))
    for (const [fold, part] of parts.entries()) {
      await new Promise((resolve) => setImmediate(resolve)) // lets Ctrl-C in
      input.signal?.throwIfAborted()
      const others = parts.filter((_, other) => other !== fold).map(({ moments }) => moments)
      const over = [input.strong, input.weak] as const
      const path = ridgePath(addMoments(others), PENALTIES, scales(features, mix), over)
      const g = centred(part.gain)
      for (const [step, weights] of path.entries()) {
        const z = centred(gainsOf(weights, part.z))
        const sums = seen[step]!
        for (let i = 0; i < z.length; i++) {
          sums.product += z[i]! * g[i]!
          sums.predicted += z[i]! ** 2
          sums.observed += g[i]! ** 2
        }
      }
    }
    const seconds = (performance.now() - started) / 1000 / PENALTIES.length
    for (const [step, { product, predicted, observed }] of seen.entries()) {
      const found = predicted > 0 && observed > 0 ? product / Math.sqrt(predicted * observed) : 0
      const loss = 1 - found
      curve.push({ epoch: curve.length, trainLoss: loss, validationLoss: loss, seconds })
      const note = `correlation with the gain ${found.toFixed(4)}`
      input.onProgress?.({ stage: 'fitting kernel', done: curve.length, total, note })
      if (best && !(found > best.found + 1e-9)) continue
      const slope = predicted > 0 ? product / predicted : 0
      const within = Math.min(Math.max(slope, SLOPES.least), SLOPES.most)
      best = { mix, l2: PENALTIES[step]!, slope: within, found }
    }
  }
  return best!
}

function scales({ parts, dimension }: KernelFeatures, mix: Mix): Float64Array {
  const out = new Float64Array(dimension)
  let at = 0
  for (const { name, columns } of parts) {
    out.fill(mix[name], at, at + columns)
    at += columns
  }
  return out
}

function gainsOf(weights: Float64Array, { rows, columns, values }: DenseMatrix): Float64Array {
  const gain = new Float64Array(rows)
  for (let i = 0; i < rows; i++) {
    let sum = 0
    for (let j = 0; j < columns; j++) sum += values[i * columns + j]! * weights[j]!
    gain[i] = sum
  }
  return gain
}

function centred(values: Float64Array): Float64Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return values.map((value) => value - mean)
}

async function headOf(
  { models }: TrainerInput<KernelSettings>,
  features: KernelFeatures,
  moments: Moments,
  { mix, l2, slope }: Choice,
): Promise<HeadWeights> {
  const fit = solveRidge(moments, l2, scales(features, mix))
  const m = models.length
  const means = moments.target.map((sum) => sum / moments.rows)
  const tensors = await features.tensors(
    fit.weights.map((weight) => slope * weight),
    m,
  )
  const left = features.parts.filter(({ name }) => mix[name] === 0).map(({ name }) => `${name}.`)
  return {
    models,
    tensors: {
      ...Object.fromEntries(
        Object.entries(tensors).filter(([name]) => !left.some((part) => name.startsWith(part))),
      ),
      bias: {
        shape: [m],
        values: Float32Array.from(means, (mean, k) => mean + slope * (fit.bias[k]! - mean)),
      },
    },
  }
}
