import type { Static } from 'typebox'
import Type from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import { concatenate, type Embeddings } from '../../../models/encoders/embeddings.ts'
import type { HeadWeights, Pair, Tensor } from '../../../models/families/family.ts'
import { cosinesTo, neighboursOf } from '../../../models/families/neighbours.ts'
import type { EpochRecord } from '../../engine/engine.ts'
import { pairRows, winRateLoss } from '../pair-rows.ts'
import { defaultsOf, neighbourSettings, whole } from '../settings.ts'
import { takeTrainingRows } from '../splits.ts'
import type { Trainer, TrainerInput, TrainerResult, TrainingRows } from '../trainer.ts'
import { neighbourTensors } from './neighbour-rows.ts'

const TEMPERATURES = [0.05, 0.1, 0.2]
const PRIOR_SHARES = [0.1, 0.3, 1, 3]
/**
 * Maximum number of validation rows on which settings are compared, since each is compared with every
 * training row.
 */
const MAX_COMPARED = 1_000

export const KNN_SETTINGS = Type.Object({
  k: whole(100, 'number of nearest training prompts that a win rate is averaged over', {
    minimum: 1,
    maximum: 10_000,
    search: { among: [30, 60, 100, 200] },
  }),
  ...neighbourSettings('store the validation rows as neighbours too, once the settings are chosen'),
})

/**
 * Stores the training rows. Of a few temperatures and prior weights it chooses those with the lowest log-loss
 * on validation. A prior's share is relative to the mean kernel weight around a validation prompt.
 */
export const knnTrainer: Trainer<Static<typeof KNN_SETTINGS>> = {
  family: 'knn',
  input: 'dense',
  settings: KNN_SETTINGS,
  defaults: defaultsOf(KNN_SETTINGS),

  async fit(input) {
    const { signal, onProgress, hyperparameters } = input
    const tail = tailOf(input)
    const tensors = neighbourTensors(input.train, input, tail)
    const k = Math.min(hyperparameters.k, tensors.rows!.shape[0]! - 1)
    if (k < 1) {
      throw new WeirError('rows_too_few', {
        expected: 2,
        what: 'of the pair to learn from',
        got: k + 1,
      })
    }
    const compared = compareOn(input.validation)
    const labels = pairRows(compared, input)
    const curve: EpochRecord[] = []
    let best: { loss: number; kernel: number[] } | undefined
    // the search is the same for every kernel, and takes nearly all of the time
    const lists = nearestLists(withKernel(input.models, tensors, [k, 1, 0]), compared.embeddings, k)
    for (const temperature of TEMPERATURES) {
      // rounded to float32, as the head will store it
      const kernels = kernelWeights(lists, Math.fround(temperature))
      const mass = meanMass(kernels)
      for (const share of PRIOR_SHARES) {
        signal?.throwIfAborted()
        const kernel = [k, temperature, share * mass]
        const started = performance.now()
        const winRate = listedWinRates(
          withKernel(input.models, tensors, kernel),
          input,
          lists,
          kernels,
        )
        const loss = winRateLoss(winRate, labels)
        const seconds = (performance.now() - started) / 1000
        curve.push({ epoch: curve.length, trainLoss: loss, validationLoss: loss, seconds })
        onProgress?.({
          stage: 'fitting knn',
          done: curve.length,
          total: TEMPERATURES.length * PRIOR_SHARES.length,
          note: `validation log-loss ${loss.toFixed(4)}`,
        })
        await new Promise((resolve) => setImmediate(resolve)) // lets Ctrl-C in
        if (!best || loss < best.loss) best = { loss, kernel }
      }
    }
    return { ...keptRows(input, tensors, best!.kernel), curve, backend: 'exact search' }
  },
}

/** The head with the kernel: on the train rows and, with `refit`, on the validation rows as well. */
export function keptRows(
  input: TrainerInput<{ readonly tail: number; readonly refit: number }>,
  tensors: HeadWeights['tensors'],
  kernel: readonly number[],
): Pick<TrainerResult, 'weights' | 'heldOut' | 'hyperparameters'> {
  const { models, hyperparameters } = input
  const heldOut = withKernel(models, tensors, kernel)
  if (hyperparameters.refit !== 1) return { weights: heldOut, heldOut, hyperparameters }
  const all = neighbourTensors(joinRows(input), input, tailOf(input))
  return { weights: withKernel(models, all, kernel), heldOut, hyperparameters }
}

/** The number of columns to read: all of a dense row, or the last `tail` of a sparse one. */
export function tailOf({
  train,
  hyperparameters,
}: TrainerInput<{ readonly tail: number }>): number {
  const { embeddings } = train
  if (embeddings.kind === 'dense') return embeddings.dimension
  const tail = hyperparameters.tail
  if (tail >= 1 && tail <= embeddings.dimension) return tail
  throw new WeirError('option_invalid', {
    option: '--encoder',
    expected: 'a dense encoder, or lexical+ one, for a family of nearest neighbours',
    got: 'only sparse columns',
  })
}

export function withKernel(
  models: readonly string[],
  tensors: Readonly<Record<string, Tensor>>,
  kernel: readonly number[],
): HeadWeights {
  const values = Float32Array.from(kernel)
  return { models, tensors: { ...tensors, kernel: { shape: [values.length], values } } }
}

/** The rows of both splits together; preferences are renumbered. */
export function joinRows({ train, validation }: TrainerInput): TrainingRows {
  const embeddings = concatenate([train.embeddings, validation.embeddings])
  const { outcomes: first, preferences: votes } = train
  const { outcomes: second, preferences: more } = validation
  const join = (a: Int32Array, b: Int32Array): Int32Array => Int32Array.from([...a, ...b])
  const stack = (a: Float32Array, b: Float32Array): Float32Array => {
    const both = new Float32Array(a.length + b.length)
    both.set(a)
    both.set(b, a.length)
    return both
  }
  return {
    embeddings,
    ...(first &&
      second && {
        outcomes: {
          scores: stack(first.scores, second.scores),
          ...(first.completed &&
            second.completed && { completed: stack(first.completed, second.completed) }),
          ...(first.imputed && second.imputed && { imputed: stack(first.imputed, second.imputed) }),
          ...(first.tokens && second.tokens && { tokens: stack(first.tokens, second.tokens) }),
        },
      }),
    ...(votes &&
      more && {
        preferences: {
          prompt: join(
            votes.prompt,
            more.prompt.map((row) => row + train.embeddings.rows),
          ),
          modelA: join(votes.modelA, more.modelA),
          modelB: join(votes.modelB, more.modelB),
          label: stack(votes.label, more.label),
          weight: stack(votes.weight, more.weight),
        },
      }),
  }
}

/** Mean kernel weight around a row, over the first rows. */
function meanMass(kernels: readonly Float64Array[]): number {
  const sample = kernels.slice(0, 200)
  let sum = 0
  for (const kernel of sample) for (const weight of kernel) sum += weight
  return Math.max(sum / Math.max(sample.length, 1), 1e-9)
}

/** The first rows of a split; they are in the log's order, and the split is by hash, so that is a random choice. */
function compareOn(split: TrainingRows): TrainingRows {
  if (split.embeddings.rows <= MAX_COMPARED) return split
  return takeTrainingRows(
    split,
    Array.from({ length: MAX_COMPARED }, (_, i) => i),
  )
}

/** For each row, the training rows that are nearer than its neighbour k + 1; with these, kernels are cheap to try. */
export interface NearestLists {
  /** one array per row: indices of training rows, ascending */
  readonly places: readonly Int32Array[]
  readonly cosines: readonly Float64Array[]
  /** cosine of neighbour k + 1, where the kernel is 0 */
  readonly edges: Float64Array
}

/** One exact search, the same as in `knn`'s forward pass. */
export function nearestLists(
  weights: HeadWeights,
  embeddings: Embeddings,
  k: number,
): NearestLists {
  const held = neighboursOf(weights, 3)
  const { n, d } = held
  const places: Int32Array[] = []
  const cosines: Float64Array[] = []
  const edges = new Float64Array(embeddings.rows)
  const query = new Float64Array(d)
  const all = new Float64Array(n)
  const sorted = new Float64Array(n)
  for (let row = 0; row < embeddings.rows; row++) {
    cosinesTo(held, embeddings, row, query, all)
    sorted.set(all)
    sorted.sort()
    const edge = sorted[Math.max(n - 1 - k, 0)]!
    const near: number[] = []
    for (let i = 0; i < n; i++) if (all[i]! > edge) near.push(i)
    places.push(Int32Array.from(near))
    cosines.push(Float64Array.from(near, (i) => all[i]!))
    edges[row] = edge
  }
  return { places, cosines, edges }
}

/** The kernel weights of each listed row at one temperature. */
export function kernelWeights(
  { cosines, edges }: NearestLists,
  temperature: number,
): readonly Float64Array[] {
  return cosines.map((list, row) => {
    const floor = Math.exp((edges[row]! - 1) / temperature)
    return list.map((cosine) => Math.exp((cosine - 1) / temperature) - floor)
  })
}

/** The win rates that `knn` gives the listed rows, bit for bit: the same sums in the same order. */
export function listedWinRates(
  weights: HeadWeights,
  pair: Pair,
  { places }: NearestLists,
  kernels: readonly Float64Array[],
): Float64Array {
  const { m, scores, base, kernel } = neighboursOf(weights, 3)
  const prior = kernel[2]!
  return Float64Array.from(places, (list, row) => {
    let total = prior
    let strong = prior * base[pair.strong]!
    let weak = prior * base[pair.weak]!
    for (const [at, i] of list.entries()) {
      const weight = kernels[row]![at]!
      total += weight
      strong += weight * scores[i * m + pair.strong]!
      weak += weight * scores[i * m + pair.weak]!
    }
    return (1 + strong / total - weak / total) / 2
  })
}
