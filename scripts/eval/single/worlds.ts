import { createRandom, deriveSeed } from '../../../core/random.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import type { SparseEmbeddings } from '../../../models/encoders/embeddings.ts'
import { takeSparse } from '../../../models/encoders/embeddings.ts'
import { fitRouter } from '../../../training/fit-router.ts'
import { withJudgedEstimates } from '../../../training/ope/judged-estimates.ts'
import { type LogFeatures, logFeatures } from '../../../training/ope/log-features.ts'
import { withPairEstimates } from '../../../training/ope/pair-estimates.ts'
import { HELD_OUT, openSet, type RouterSet, stemCells, TRAIN } from '../router-sets.ts'

/** Sets with both answers, of which one is hidden. */
export const SINGLE_SETS: readonly RouterSet[] = [
  {
    name: 'mmlu',
    file: 'routellm-mmlu.csv.gz',
    strong: 'gpt-4-1106-preview',
    weak: 'mistralai/Mixtral-8x7B-Instruct-v0.1',
  },
  {
    name: 'mmlu_pro',
    file: 'mmlu-pro.jsonl.gz',
    strong: 'gpt-4o-2024-05',
    weak: 'Meta-Llama-3-8B-Instruct',
  },
  {
    name: 'openllm_18',
    file: 'openllm-18.jsonl.gz',
    strong: 'Qwen/Qwen2.5-72B-Instruct',
    weak: 'Qwen/Qwen2.5-7B-Instruct',
  },
]

/** How it was decided which of the two models answered, and whether the log says with which probability. */
export interface Assignment {
  readonly name: string
  readonly logged: boolean
  /** probability of the strong model, given the prompt's place in the order of a router's win rates, in [0, 1] */
  readonly strong: (place: number) => number
  /** whether that router is another than the one that is judged */
  readonly other?: boolean
}

const uneven = (place: number): number => 0.1 + 0.8 / (1 + Math.exp(-8 * (place - 0.5)))
export const ASSIGNMENTS: readonly Assignment[] = [
  { name: 'uniform', logged: false, strong: () => 0.5 },
  { name: 'one in five strong', logged: false, strong: () => 0.2 },
  { name: 'by prompt, logged', logged: true, strong: uneven },
  { name: 'by prompt, estimated', logged: false, strong: uneven },
  { name: 'by another router, estimated', logged: false, strong: uneven, other: true },
]

/** Held-out prompts with both answers, and a router's win rates for them. */
export interface Pool {
  readonly set: RouterSet
  readonly dataset: Dataset
  readonly winRate: Float64Array
  /** n: place in the order of the win rates, in [0, 1] */
  readonly place: Float64Array
  /** the same of another router, a `knn` trained on both answers */
  readonly otherPlace: Float64Array
  readonly strong: Float64Array
  readonly weak: Float64Array
  readonly features: LogFeatures
  readonly rows: SparseEmbeddings
}

/** One half of the stems trains the router on single answers, the other half is the pool. */
export async function openPool(folder: string, set: RouterSet, seed: number): Promise<Pool> {
  const all = await openSet(folder, set)
  const cells = stemCells(all, seed)
  const split = Uint8Array.from(cells, (cell) =>
    cell % 2 === 0 ? HELD_OUT : cell % 20 === 1 ? TRAIN + 1 : TRAIN,
  )
  const random = createRandom(deriveSeed(seed, 'router'))
  const training = hideOne(
    { ...all, split },
    () => 0.5,
    false,
    () => random.next(),
  )
  const held = Int32Array.from(split.keys()).filter((i) => split[i] === HELD_OUT)
  const dataset = drawPrompts(all, held)
  const winRatesOf = async (log: Dataset, router: string): Promise<Float64Array> => {
    const { strong, weak } = set
    const options = { strong, weak, router, engine: 'onnx', seed, threads: 1 } as const
    const { family, weights, pair, encoder } = await fitRouter(log, options)
    const { embeddings } = await encoder.encoder.encode(dataset.prompts)
    return family.forward(weights, pair, embeddings).winRate
  }
  const winRate = await winRatesOf(training, 'classifier')
  const column = (model: string): Float64Array =>
    Float64Array.from(
      dataset.prompts,
      (_, i) => dataset.outcomes!.scores[2 * i + dataset.models.indexOf(model)]!,
    )
  const features = await logFeatures(dataset, { seed })
  return {
    set,
    dataset,
    winRate,
    place: placesOf(winRate),
    otherPlace: placesOf(await winRatesOf({ ...all, split }, 'knn')),
    strong: column(set.strong),
    weak: column(set.weak),
    features,
    rows: await features.encode(Int32Array.from(dataset.prompts.keys())),
  }
}

/** Each value's place among them, in (0, 1). */
function placesOf(values: Float64Array): Float64Array {
  const places = new Float64Array(values.length)
  Int32Array.from(values.keys())
    .sort((a, b) => values[a]! - values[b]!)
    .forEach((row, at) => {
      places[row] = (at + 0.5) / values.length
    })
  return places
}

/** The given prompts' scores of two models, in the given order; they may repeat. */
function drawPrompts(dataset: Dataset, rows: Int32Array): Dataset {
  const m = dataset.models.length
  const scores = new Float32Array(rows.length * m)
  rows.forEach((row, i) => {
    scores.set(dataset.outcomes!.scores.subarray(row * m, (row + 1) * m), i * m)
  })
  return {
    ...dataset,
    prompts: Array.from(rows, (row) => dataset.prompts[row]!),
    hashes: Array.from(rows, (row) => dataset.hashes[row]!),
    categories: Array.from(rows, (row) => dataset.categories[row]),
    split: Uint8Array.from(rows, (row) => dataset.split[row]!),
    outcomes: { scores },
  }
}

/** Keeps one of the two answers of each prompt. */
export function hideOne(
  dataset: Dataset,
  strong: (row: number) => number,
  logged: boolean,
  next: () => number,
  set?: Pick<RouterSet, 'strong'>,
): Dataset {
  const scores = dataset.outcomes!.scores.slice()
  const propensities = new Float32Array(scores.length).fill(Number.NaN)
  const first = set ? dataset.models.indexOf(set.strong) : 0
  for (let i = 0; i < dataset.prompts.length; i++) {
    const e = strong(i)
    const asked = next() < e ? first : 1 - first
    scores[2 * i + 1 - asked] = Number.NaN
    propensities[2 * i + asked] = asked === first ? e : 1 - e
  }
  return { ...dataset, outcomes: { scores, ...(logged && { propensities }) } }
}

/** A log of the pool's prompts in which one model answered, with estimates of the missing scores. */
export async function singleLogOf(
  pool: Pool,
  rows: Int32Array,
  assignment: Assignment,
  seed: number,
): Promise<Dataset> {
  const random = createRandom(deriveSeed(seed, 'assignment'))
  const log = hideOne(
    drawPrompts(pool.dataset, rows),
    (i) => assignment.strong((assignment.other ? pool.otherPlace : pool.place)[rows[i]!]!),
    assignment.logged,
    () => random.next(),
    pool.set,
  )
  const features: LogFeatures = {
    dimension: pool.features.dimension,
    ranges: pool.features.ranges,
    encode: async (prompts) =>
      takeSparse(
        pool.rows,
        Int32Array.from(prompts, (i) => rows[i]!),
      ),
  }
  return withJudgedEstimates(
    await withPairEstimates(log, pool.set, { seed, features }),
    {
      prompts: Int32Array.from(rows.keys()),
      winRates: [Float64Array.from(rows, (row) => pool.winRate[row]!)],
    },
    seed,
  )
}
