import { join } from 'node:path'
import { definedOnly } from '../../core/defined.ts'
import { createRandom, deriveSeed } from '../../core/random.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { readLogs } from '../../data/ingest.ts'
import { pairLabels } from '../../data/pair.ts'
import { promptStem } from '../../data/splits/stem.ts'
import { findLogs, GSM8K, MMLU, type PairLog } from './logs.ts'

/** One row of the table: a log, a pair of its models, and how many labels training may see. */
export interface RouterSet extends PairLog {
  readonly labels?: number
  /** APGR published for the pair (Ong et al. 2024), and this project's target */
  readonly published?: number
  readonly bar?: number
  /** keys of declared context that the routers read */
  readonly context?: readonly string[]
  /** whether the context also changes what the text's plain features mean */
  readonly interactions?: boolean
  /** which parts of conversations they read; `last` by default */
  readonly recipe?: string
}

const PUBLISHED_MMLU = { ...MMLU, published: 0.603 }

const REAL: readonly RouterSet[] = [
  { ...GSM8K, published: 0.622, bar: 0.62 },
  {
    name: 'alpaca',
    file: 'alpaca-eval-preferences.jsonl.gz',
    strong: 'gpt4_1106_preview',
    weak: 'claude-2',
    bar: 0.58,
  },
  { ...PUBLISHED_MMLU, name: 'mmlu_1500', labels: 1500, bar: 0.64 },
  { ...PUBLISHED_MMLU, bar: 0.68 },
  {
    name: 'mmlu_pro_gpt4o',
    file: 'mmlu-pro.jsonl.gz',
    strong: 'gpt-4o-2024-05',
    weak: 'Meta-Llama-3-8B-Instruct',
    bar: 0.62,
  },
  {
    name: 'mmlu_pro_gemini',
    file: 'mmlu-pro.jsonl.gz',
    strong: 'gemini-3.1-pro',
    weak: 'gemini-1.5-flash-002',
    bar: 0.62,
  },
  {
    name: 'mmlu_pro_llama',
    file: 'mmlu-pro.jsonl.gz',
    strong: 'Meta-Llama-3_1-70B-Instruct',
    weak: 'Meta-Llama-3_1-8B-Instruct',
  },
  {
    name: 'shaberi',
    file: 'shaberi-ja.jsonl.gz',
    strong: 'gpt-4o-2024-11-20',
    weak: 'Llama-3.1-8B-Instruct',
    bar: 0.65,
  },
  {
    name: 'bfcl',
    file: 'bfcl-tools.jsonl.gz',
    strong: 'claude-3-5-sonnet-20240620',
    weak: 'claude-3-haiku-20240307',
  },
  {
    name: 'oasst',
    file: 'oasst-chat-preferences.jsonl.gz',
    strong: 'gpt-3.5-turbo',
    weak: 'vicuna-13b',
    recipe: 'conversation',
    bar: 0.74,
  },
]

/** Sets whose rows name a category, with a bar where one is set: with `--context` it is also declared. */
const WITH_CATEGORY: Readonly<Record<string, number | undefined>> = {
  mmlu: 0.705,
  mmlu_1500: 0.665,
  bfcl: 0.78,
  mmlu_pro_gpt4o: undefined,
  mmlu_pro_gemini: undefined,
  mmlu_pro_llama: undefined,
}

/** The sets, and those with a category twice more: with the category declared as context, alone and with interactions. */
export const withCategory = (sets: readonly RouterSet[]): RouterSet[] =>
  sets.flatMap((set) => {
    if (!Object.hasOwn(WITH_CATEGORY, set.name)) return [set]
    const { bar: _, ...rest } = set
    const bar = definedOnly({ bar: WITH_CATEGORY[set.name] })
    const declared = { name: `${set.name}, category declared`, context: ['category'] }
    const crossed = { name: `${declared.name}, with interactions`, interactions: true }
    return [set, { ...rest, ...declared, ...bar }, { ...rest, ...declared, ...crossed, ...bar }]
  })

/** The available sets, as `findLogs` finds them. */
export function routerSets(
  only: readonly string[],
  note: (line: string) => void,
): { folder: string; sets: RouterSet[] } {
  const { folder, logs } = findLogs(REAL, only, note)
  return { folder, sets: logs }
}

/**
 * The prompts with observations of the pair, with its votes and outcomes; with `all`, also the other models'
 * outcomes.
 */
export async function openSet(
  folder: string,
  set: RouterSet,
  which: 'pair' | 'all' = 'pair',
): Promise<Dataset> {
  const { context } = set
  const dataset = await readLogs([join(folder, set.file)], { seed: 1, ...definedOnly({ context }) })
  const { prompt } = pairLabels(dataset, set.strong, set.weak)
  const all = which === 'all' && dataset.outcomes !== undefined
  const models = all ? dataset.models : [set.strong, set.weak].sort()
  const column = models.map((model) => dataset.models.indexOf(model))
  const place = new Map(Array.from(prompt, (from, to) => [from, to]))
  const { outcomes, preferences } = dataset
  const votes = preferences
    ? [...preferences.prompt.keys()].filter(
        (i) =>
          column.includes(preferences.modelA[i]!) &&
          column.includes(preferences.modelB[i]!) &&
          place.has(preferences.prompt[i]!),
      )
    : []
  const take = (values: ArrayLike<number>): number[] => votes.map((i) => values[i]!)
  const table = (values: Float32Array): Float32Array =>
    Float32Array.from(
      [...prompt].flatMap((i) => column.map((m) => values[i * dataset.models.length + m]!)),
    )
  return {
    ...dataset,
    models,
    prompts: Array.from(prompt, (i) => dataset.prompts[i]!),
    hashes: Array.from(prompt, (i) => dataset.hashes[i]!),
    categories: Array.from(prompt, (i) => dataset.categories[i]),
    split: new Uint8Array(prompt.length),
    ...(outcomes && {
      outcomes: {
        scores: table(outcomes.scores),
        ...(outcomes.tokens && { tokens: table(outcomes.tokens) }),
      },
    }),
    ...(preferences && {
      preferences: {
        prompt: Int32Array.from(take(preferences.prompt), (from) => place.get(from)!),
        modelA: Int32Array.from(take(preferences.modelA), (m) => column.indexOf(m)),
        modelB: Int32Array.from(take(preferences.modelB), (m) => column.indexOf(m)),
        label: Float32Array.from(take(preferences.label)),
        weight: Float32Array.from(take(preferences.weight)),
        bothBad: Uint8Array.from(take(preferences.bothBad)),
        judge: Int32Array.from(take(preferences.judge)),
      },
    }),
  }
}

/** The same rows with only the pair's outcomes. */
export function pairOnly(dataset: Dataset, set: RouterSet): Dataset {
  const { outcomes } = dataset
  const models = [set.strong, set.weak].sort()
  if (!outcomes || dataset.models.length === models.length) return dataset
  const column = models.map((model) => dataset.models.indexOf(model))
  const m = dataset.models.length
  const scores = dataset.prompts.flatMap((_, row) =>
    column.map((k) => outcomes.scores[row * m + k]!),
  )
  return { ...dataset, models, outcomes: { scores: Float32Array.from(scores) } }
}

/**
 * Stems are assigned to this many cells; a tenth of the training folds' cells is used for stopping and
 * selection.
 */
const CELLS = 1000
export const TRAIN = 0
const VALIDATION = 1
const UNUSED = 2
export const HELD_OUT = 3

/** The cell of every prompt, by its stem, so that copies of a question share one. */
export function stemCells(dataset: Dataset, seed: number, cells = CELLS): Int32Array {
  const { split } = dataset.manifest
  return Int32Array.from(dataset.prompts, (prompt) =>
    createRandom(deriveSeed(seed, promptStem(prompt, split))).int(cells),
  )
}

/** The dataset for one fold: held out by stem, and of the rest at most `labels` prompts. */
export function foldOf(
  dataset: Dataset,
  options: { fold: number; folds: number; seed: number; labels?: number | undefined },
): Dataset {
  const { fold, folds, seed, labels = Infinity } = options
  const split = Uint8Array.from(stemCells(dataset, seed), (cell) => {
    if (cell % folds === fold) return HELD_OUT
    return Math.floor(cell / folds) % 10 === 0 ? VALIDATION : TRAIN
  })
  const given = createRandom(deriveSeed(seed, `labels ${fold}`)).shuffle(
    [...split.keys()].filter((row) => split[row] !== HELD_OUT),
  )
  for (const row of given.slice(Math.min(labels, given.length))) split[row] = UNUSED
  return { ...dataset, split }
}
