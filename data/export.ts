import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../core/abort.ts'
import { WeirError } from '../core/errors.ts'
import { renameInto } from '../core/files.ts'
import type { OnProgress } from '../core/progress.ts'
import { type Dataset, openDataset, SPLITS } from './dataset/dataset.ts'
import { DATASET_FILES } from './dataset/manifest.ts'
import { type ReadBatch, readArrow } from './source/arrow.ts'
import { writeParquet } from './source/parquet.ts'

/** `long`: a row per prompt and model with a score or an unrated answer; `pairwise`: a row per vote. */
export const EXPORT_LAYOUTS = ['long', 'pairwise'] as const
export type ExportLayout = (typeof EXPORT_LAYOUTS)[number]

export interface ExportOptions {
  /** by the dataset's contents if absent: `long` for scores, `pairwise` for votes */
  readonly layout?: ExportLayout | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

type Value = string | number | undefined
type Row = Readonly<Record<string, Value>>

const LONG = {
  prompt: 'STRING',
  model: 'STRING',
  score: 'DOUBLE',
  cost: 'DOUBLE',
  tokens: 'DOUBLE',
  propensity: 'DOUBLE',
  answered: 'DOUBLE',
  category: 'STRING',
  split: 'STRING',
} as const
const PAIRWISE = {
  prompt: 'STRING',
  model_a: 'STRING',
  model_b: 'STRING',
  winner: 'STRING',
  judge: 'STRING',
  weight: 'DOUBLE',
  timestamp: 'DOUBLE',
  propensity: 'DOUBLE',
  category: 'STRING',
  split: 'STRING',
} as const
type Columns = typeof LONG | typeof PAIRWISE

const WINNERS = ['a', 'b', 'tie', 'both_bad']
const BATCH_ROWS = 50_000

/**
 * Writes a dataset to one file, atomically: Parquet (snappy) or JSON lines, as the file's ending says. `weir data
 * ingest` reads it again with the same prompts, models, scores and votes. Conversations are exported as the text
 * that the dataset holds. Values that are not known are null in Parquet and absent in JSON.
 *
 * @returns the layout and the number of rows
 * @throws option_invalid; rows_too_few if the dataset has nothing of the layout; file_unwritable
 */
export async function exportDataset(
  path: string,
  out: string,
  options: ExportOptions = {},
): Promise<{ readonly layout: ExportLayout; readonly rows: number }> {
  const write = writerOf(out)
  const dataset = await openDataset(path)
  const layout = layoutOf(dataset, options.layout)
  const columns = layout === 'long' ? LONG : PAIRWISE
  const rows = layout === 'long' ? longRows(dataset) : pairwiseRows(dataset)
  let count = 0
  async function* watched(): AsyncGenerator<Row> {
    for await (const row of rows) {
      if (count % BATCH_ROWS === 0) {
        throwIfAborted(options.signal)
        options.onProgress?.({ stage: 'rows written', done: count })
      }
      count++
      yield row
    }
  }
  try {
    await renameInto(out, (partial) => write(partial, columns, watched()))
  } catch (cause) {
    if (cause instanceof WeirError) throw cause
    throw new WeirError(
      'file_unwritable',
      { path: out, reason: (cause as Error).message },
      { cause },
    )
  }
  return { layout, rows: count }
}

function layoutOf(dataset: Dataset, asked: ExportLayout | undefined): ExportLayout {
  const { preferences, outcomes, path } = dataset
  if (asked === undefined && preferences && outcomes) {
    const expected = 'long or pairwise, because the dataset has both scores and votes'
    throw new WeirError('option_invalid', { option: '--layout', expected, got: 'nothing' })
  }
  const layout = asked ?? (outcomes ? 'long' : 'pairwise')
  if (layout === 'long' ? outcomes : preferences) return layout
  const what = `${layout === 'long' ? 'of scores' : 'of votes'} in ${path}`
  throw new WeirError('rows_too_few', { expected: 1, what, got: 0 })
}

function* longRows({ prompts, models, categories, split, outcomes }: Dataset): Generator<Row> {
  const { scores, costs, tokens, propensities, unrated } = outcomes!
  for (const [p, prompt] of prompts.entries()) {
    for (const [m, model] of models.entries()) {
      const at = p * models.length + m
      const values = {
        score: shortest(scores[at]),
        cost: shortest(costs?.[at]),
        tokens: shortest(tokens?.[at]),
        propensity: shortest(propensities?.[at]),
      }
      const isUnrated = values.score === undefined && unrated?.[at] === 1
      if (Object.values(values).every((value) => value === undefined) && !isUnrated) continue
      // a model that could have been asked has a propensity, and no answer
      const answered = values.score === undefined && !isUnrated ? 0 : undefined
      yield {
        prompt,
        model,
        ...values,
        answered,
        category: categories[p],
        split: SPLITS[split[p]!]!,
      }
    }
  }
}

async function* pairwiseRows(dataset: Dataset): AsyncGenerator<Row> {
  const { path, prompts, models, categories, split, manifest } = dataset
  for await (const batch of readArrow(join(path, DATASET_FILES.preferences))) {
    const numbers = preferenceColumns(batch)
    for (let i = 0; i < batch.rows; i++) {
      const p = numbers.prompt[i]!
      yield {
        prompt: prompts[p]!,
        model_a: models[numbers.modelA[i]!]!,
        model_b: models[numbers.modelB[i]!]!,
        winner: WINNERS[numbers.winner[i]!]!,
        judge: manifest.judges[numbers.judge[i]!],
        weight: shortest(numbers.weight[i]),
        timestamp: known(numbers.timestamp[i]),
        propensity: shortest(numbers.propensity?.[i]),
        category: categories[p],
        split: SPLITS[split[p]!]!,
      }
    }
  }
}

const preferenceColumns = (batch: ReadBatch) => ({
  prompt: batch.numbers('prompt', Int32Array),
  modelA: batch.numbers('model_a', Int32Array),
  modelB: batch.numbers('model_b', Int32Array),
  winner: batch.numbers('winner', Uint8Array),
  judge: batch.numbers('judge', Int32Array),
  weight: batch.numbers('weight', Float32Array),
  timestamp: batch.numbers('timestamp', Float64Array),
  propensity: batch.has('propensity') ? batch.numbers('propensity', Float32Array) : undefined,
})

const known = (value: number | undefined): number | undefined =>
  value === undefined || Number.isNaN(value) ? undefined : value

/** The shortest decimal that is the same 32-bit number: 0.1 rather than 0.10000000149. */
function shortest(value: number | undefined): number | undefined {
  const number = known(value)
  if (number === undefined || Number.isInteger(number)) return number
  for (const digits of [3, 6, 7, 8]) {
    const short = Number(number.toPrecision(digits))
    if (Math.fround(short) === number) return short
  }
  return number
}

type Write = (path: string, columns: Columns, rows: AsyncIterable<Row>) => Promise<void>

function writerOf(out: string): Write {
  if (/\.(parquet|pq)$/i.test(out)) return writeParquet
  if (/\.(jsonl|ndjson)$/i.test(out)) return writeLines
  const expected = 'a file that ends in .parquet or .jsonl'
  throw new WeirError('option_invalid', { option: '--out', expected, got: out })
}

async function writeLines(
  path: string,
  _columns: Columns,
  rows: AsyncIterable<Row>,
): Promise<void> {
  const file = await open(path, 'wx')
  try {
    let block = ''
    for await (const row of rows) {
      block += `${JSON.stringify(row)}\n`
      if (block.length < 1 << 20) continue
      await file.write(block)
      block = ''
    }
    await file.write(block)
    await file.sync()
  } finally {
    await file.close()
  }
}
