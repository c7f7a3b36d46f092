import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import {
  concatenate,
  type Embeddings,
  type SparseEmbeddings,
} from '../../../models/encoders/embeddings.ts'
import { classifier } from '../../../models/families/classifier.ts'
import { sigmoid } from '../../../models/families/linear-head.ts'
import { createEngine } from '../../../training/engine/engines.ts'
import { fitRelated } from '../../../training/solver/related-logistic.ts'
import {
  type ClassifierSettings,
  classifierTrainer,
} from '../../../training/trainers/heads/classifier.ts'
import { outcomeTarget } from '../../../training/trainers/heads/targets.ts'
import type { TrainerResult, TrainingRows } from '../../../training/trainers/trainer.ts'

const D = 16
const MODELS = ['e1', 'e2', 'e3', 'e4', 'e5']
const T = MODELS.length
/** win rates of the highest effort against the lowest */
const PAIR = { strong: T - 1, weak: 0 }

type Kind = 'alike' | 'different'
interface World {
  readonly weights: readonly Float64Array[]
  readonly bias: readonly number[]
}

/** Efforts whose weights are alike but for a small part, or that have nothing in common. */
function world(kind: Kind, bias: readonly number[] = [-0.8, -0.3, 0, 0.2, 0.3]): World {
  const random = createRandom(11)
  const common = Float64Array.from({ length: D }, () => 0.5 * random.normal())
  const weights = MODELS.map(() =>
    common.map((value) =>
      kind === 'alike' ? value + 0.1 * random.normal() : 0.5 * random.normal(),
    ),
  )
  return { weights, bias }
}

function prompts(seed: number, rows: number): SparseEmbeddings {
  const random = createRandom(seed)
  return {
    ...{ kind: 'sparse', rows, dimension: D },
    offsets: Uint32Array.from({ length: rows + 1 }, (_, row) => row * D),
    ids: Uint32Array.from({ length: rows * D }, (_, i) => i % D),
    weights: Float32Array.from({ length: rows * D }, () => random.normal()),
  }
}

/** One row; every column is there. */
function dense(embeddings: Embeddings, row: number): Float32Array {
  if (embeddings.kind === 'dense') throw new Error('expected sparse rows')
  return embeddings.weights.subarray(row * D, (row + 1) * D)
}

const success = ({ weights, bias }: World, embeddings: Embeddings, row: number, t: number) =>
  sigmoid(dense(embeddings, row).reduce((sum, x, j) => sum + x * weights[t]![j]!, bias[t]!))

/** Each prompt answered by `answers` efforts drawn at random. */
function answered(truth: World, seed: number, rows: number, answers: number): TrainingRows {
  const random = createRandom(seed)
  const embeddings = prompts(seed + 1000, rows)
  const scores = new Float32Array(rows * T).fill(Number.NaN)
  for (let row = 0; row < rows; row++) {
    for (const t of random.shuffle([...MODELS.keys()]).slice(0, answers)) {
      scores[row * T + t] = Number(random.next() < success(truth, embeddings, row, t))
    }
  }
  return { embeddings, outcomes: { scores } }
}

async function fitted(
  train: TrainingRows,
  validation: TrainingRows,
  together: boolean,
  settings: Partial<ClassifierSettings> = {},
): Promise<TrainerResult> {
  const engine = await createEngine('onnx')
  const result = await classifierTrainer.fit({
    models: MODELS,
    ...PAIR,
    ...(together && { efforts: [[...MODELS.keys()]] }),
    train,
    validation,
    hyperparameters: { ...classifierTrainer.defaults, ...settings },
    seed: 1,
    engine,
    threads: 1,
  })
  await engine.close()
  return result
}

/** Root mean squared error of the win rates on new prompts, and mean quality of each effort there. */
function judged({ weights }: TrainerResult, truth: World) {
  const fresh = prompts(5, 2000)
  const { winRate, quality } = classifier.forward(weights, PAIR, fresh)
  let squares = 0
  for (let row = 0; row < fresh.rows; row++) {
    const gain = success(truth, fresh, row, PAIR.strong) - success(truth, fresh, row, PAIR.weak)
    squares += (winRate[row]! - (1 + gain) / 2) ** 2 / fresh.rows
  }
  return { error: Math.sqrt(squares), means: meansOf(quality!, fresh.rows) }
}

const meansOf = (quality: Float64Array, rows: number): number[] =>
  MODELS.map((_, t) => {
    let sum = 0
    for (let row = 0; row < rows; row++) sum += quality[row * T + t]! / rows
    return sum
  })

/** Mean errors over several logs of a world: heads fitted together, and apart. */
async function errors(
  kind: Kind,
  rows: number,
  answers: number,
  logs: number,
  settings: Partial<ClassifierSettings> = {},
) {
  const truth = world(kind)
  let [together, apart] = [0, 0]
  const correlations: number[] = []
  for (let seed = 1; seed <= logs; seed++) {
    const train = answered(truth, 10 * seed, rows, answers)
    const validation = answered(truth, 10 * seed + 1, rows / 4, answers)
    const shared = await fitted(train, validation, true, settings)
    together += judged(shared, truth).error / logs
    apart += judged(await fitted(train, validation, false, settings), truth).error / logs
    correlations.push(shared.shared![0]!.correlation)
  }
  return { together, apart, correlations }
}

describe('efforts of one model, fitted together', () => {
  test('need fewer labels: with one head’s worth for five, the error of the win rates is far smaller', async () => {
    const { together, apart } = await errors('alike', 400, 1, 3)
    expect(together).toBeLessThan(0.65 * apart)
  })

  test('with two heads’ worth too', async () => {
    const { together, apart } = await errors('alike', 400, 2, 2)
    expect(together).toBeLessThan(0.75 * apart)
  })

  test('share nothing where nothing is common, and lose nothing by it', async () => {
    const { together, apart, correlations } = await errors('different', 400, 2, 1)
    expect(Math.max(...correlations)).toBeLessThan(0.8)
    expect(together).toBeLessThan(1.05 * apart)
  })

  test.each(['alike', 'different'] as const)(
    'with plenty of labels are as exact as heads fitted apart (%s)',
    async (kind) => {
      const { together, apart } = await errors(kind, 1200, 5, 1, { folds_below_rows: 0 })
      expect(together).toBeLessThan(1.02 * apart)
    },
  )

  test('are not worse on average with more effort, where heads fitted apart say so', async () => {
    const same = world('alike', [0, 0, 0, 0, 0])
    const [train, validation] = [answered(same, 3, 300, 1), answered(same, 4, 80, 1)]
    const apart = await fitted(train, validation, false)
    const together = await fitted(train, validation, true)
    const seen = concatenate([train.embeddings, validation.embeddings])
    const means = ({ weights }: TrainerResult) =>
      meansOf(classifier.forward(weights, PAIR, seen).quality!, seen.rows)
    const falls = (values: readonly number[]) => values.some((y, t) => y < values[t - 1]! - 1e-6)
    expect(falls(means(apart))).toBe(true)
    expect(falls(means(together))).toBe(false)
    const { labels, quality } = together.shared![0]!
    expect(labels.reduce((sum, count) => sum + count)).toBe(380)
    for (const [t, mean] of means(together).entries()) expect(quality[t]).toBeCloseTo(mean, 5)
  })

  test('an effort without labels is between its neighbours', async () => {
    const truth = world('alike')
    const without = (rows: TrainingRows): TrainingRows => ({
      ...rows,
      outcomes: {
        scores: rows.outcomes!.scores.map((score, i) => (i % T === 2 ? Number.NaN : score)),
      },
    })
    const result = await fitted(
      without(answered(truth, 8, 300, 2)),
      without(answered(truth, 9, 80, 2)),
      true,
    )
    const { quality, labels } = result.shared![0]!
    expect(labels[2]).toBe(0)
    expect(quality[2]).toBeGreaterThanOrEqual(quality[1]!)
    expect(quality[2]).toBeLessThanOrEqual(quality[3]!)
  })
})

describe('related logistic regressions', () => {
  const labelled = answered(world('alike'), 21, 200, 2)
  const heads = MODELS.map((_, t) => outcomeTarget(labelled, T, t))
  const solve = (embeddings: Embeddings, correlation: number) =>
    fitRelated({
      ...{ embeddings, heads, correlation, l2: 3, maxIterations: 500, tolerance: 1e-10 },
    })

  test('are the minimum: the gradient of loss and prior is 0', async () => {
    const r = 0.8
    const fits = await solve(labelled.embeddings, r)
    // of the prior covariance (1 - r) I + r J, the inverse is (I - r / (1 - r + r T) J) / (1 - r)
    for (let j = 0; j < D; j++) {
      const sum = fits.reduce((total, { weights }) => total + weights[j]!, 0)
      for (const [t, { weights, bias }] of fits.entries()) {
        let gradient = (3 * (weights[j]! - (r / (1 - r + r * T)) * sum)) / (1 - r)
        const { rows, labels } = heads[t]!
        for (const [i, row] of rows.entries()) {
          const x = dense(labelled.embeddings, row)
          const logit = x.reduce((total, value, k) => total + value * weights[k]!, bias)
          gradient += (sigmoid(logit) - labels[i]!) * x[j]!
        }
        expect(Math.abs(gradient)).toBeLessThan(2e-3)
      }
    }
  })

  test('are the same from dense rows', async () => {
    const { rows } = labelled.embeddings
    const values = Float32Array.from(
      Array.from({ length: rows }, (_, row) => [...dense(labelled.embeddings, row)]).flat(),
    )
    const sparse = await solve(labelled.embeddings, 0.8)
    const fits = await solve({ kind: 'dense', rows, dimension: D, values }, 0.8)
    for (const [t, { weights, bias }] of fits.entries()) {
      expect(bias).toBeCloseTo(sparse[t]!.bias, 2)
      for (let j = 0; j < D; j++) expect(weights[j]).toBeCloseTo(sparse[t]!.weights[j]!, 2)
    }
  })
})
