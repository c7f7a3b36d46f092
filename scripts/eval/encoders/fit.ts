import { join } from 'node:path'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import { readLogs } from '../../../data/ingest.ts'
import { pairLabels } from '../../../data/pair.ts'
import { type Embeddings, takeRows } from '../../../models/encoders/embeddings.ts'
import { classifier } from '../../../models/families/classifier.ts'
import { mf } from '../../../models/families/mf.ts'
import type { Engine } from '../../../training/engine/engine.ts'
import { classifierTrainer } from '../../../training/trainers/heads/classifier.ts'
import { mfTrainer } from '../../../training/trainers/heads/mf.ts'
import type { Trainer, TrainingRows } from '../../../training/trainers/trainer.ts'
import { findLogs, GSM8K, MMLU, type PairLog } from '../logs.ts'
import { stemCells } from '../router-sets.ts'

export type Head = 'linear' | 'mf'

/** Share of a head's labels that is used for early stopping and selection. */
const VALIDATION = 0.15
const PAIR = { strong: 0, weak: 1 } as const

/** Embeddings of every prompt of the table, made from the training rows if the encoder is fitted. */
export type EmbeddingSource = (training: readonly number[]) => Promise<Embeddings>

/** A router's result for every prompt, from folds that it was not trained on. */
export interface OutOfFold {
  /** n */
  readonly winRate: Float64Array
  /** n x 2: its estimate of the strong model's score and the weak one's; zeros if the head has none */
  readonly quality: Float64Array
}

/**
 * The scores of every prompt, from a head (and a fitted encoder) trained on `labels` rows of the other folds:
 * the first of one seeded order, so that larger sets contain smaller ones.
 */
export async function outOfFold(
  table: PairTable,
  source: EmbeddingSource,
  head: Head,
  labels: number,
  options: {
    readonly seed: number
    readonly folds: number
    readonly engine: Engine
    readonly signal?: AbortSignal
  },
): Promise<OutOfFold> {
  const { seed, folds, engine, signal } = options
  const winRate = new Float64Array(table.prompts.length)
  const quality = new Float64Array(2 * table.prompts.length)
  const family = head === 'mf' ? mf : classifier
  const trainer: Trainer = head === 'mf' ? mfTrainer : classifierTrainer
  for (let fold = 0; fold < folds; fold++) {
    const order = createRandom(deriveSeed(seed, `fold ${fold}`)).shuffle(
      Array.from(table.fold.keys()).filter((row) => table.fold[row] !== fold),
    )
    const given = order.slice(0, labels)
    const cut = Math.round(given.length * VALIDATION)
    const embeddings = await source(given.slice(cut))
    const rows = (chosen: readonly number[]): TrainingRows => ({
      embeddings: takeRows(embeddings, chosen),
      outcomes: {
        scores: Float32Array.from(
          chosen.flatMap((row) => [table.scores[2 * row]!, table.scores[2 * row + 1]!]),
        ),
      },
    })
    const { weights } = await trainer.fit({
      models: ['strong', 'weak'],
      ...PAIR,
      train: rows(given.slice(cut)),
      validation: rows(given.slice(0, cut)),
      hyperparameters:
        head === 'mf'
          ? mfTrainer.defaults
          : { ...classifierTrainer.defaults, l2_min: 0.3, l2_max: 30, l2_steps: 5 },
      seed,
      engine,
      threads: 1,
      signal,
    })
    const held = Array.from(table.fold.keys()).filter((row) => table.fold[row] === fold)
    const scores = family.forward(weights, PAIR, takeRows(embeddings, held))
    for (const [place, row] of held.entries()) {
      winRate[row] = scores.winRate[place]!
      const guess = scores.quality?.subarray(2 * place, 2 * place + 2)
      if (guess) quality.set(guess, 2 * row)
    }
  }
  return { winRate, quality }
}

/** One pair's outcomes on distinct prompts, with the fold of each prompt's stem. */
export interface PairTable {
  readonly name: string
  /** where the rows come from, for display */
  readonly source: string
  readonly prompts: readonly string[]
  /** n x 2: the strong model's score, the weak one's */
  readonly scores: Float32Array
  readonly fold: Uint8Array
}

const LOGS: readonly PairLog[] = [
  MMLU,
  GSM8K,
  {
    name: 'mmlu-pro',
    file: 'mmlu-pro.jsonl.gz',
    strong: 'gpt-4o-2024-05',
    weak: 'Meta-Llama-3_1-8B-Instruct',
  },
]

/** The tables of the available logs, as `findLogs` finds them. */
export async function pairTables(
  only: readonly string[],
  options: { readonly folds: number; readonly seed: number; readonly note: (line: string) => void },
): Promise<PairTable[]> {
  const { folder, logs } = findLogs(LOGS, only, options.note)
  const tables: PairTable[] = []
  for (const source of logs) {
    const dataset = await readLogs([join(folder, source.file)], { seed: options.seed })
    const { prompt, strong, weak } = pairLabels(dataset, source.strong, source.weak)
    const cells = stemCells(dataset, options.seed, options.folds)
    tables.push({
      name: source.name,
      source: `${source.file}: ${source.strong} over ${source.weak}`,
      prompts: Array.from(prompt, (i) => dataset.prompts[i]!),
      scores: Float32Array.from({ length: prompt.length * 2 }, (_, k) =>
        k % 2 === 0 ? strong![k >> 1]! : weak![k >> 1]!,
      ),
      fold: Uint8Array.from(prompt, (i) => cells[i]!),
    })
  }
  return tables
}
