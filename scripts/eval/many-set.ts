import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Dataset, SPLITS } from '../../data/dataset.ts'
import { readLogs } from '../../data/ingest.ts'
import type { Price } from '../../models/prices.ts'
import { stemCells } from './out-of-fold.ts'

/** A log of many models with a price of each. */
export interface ManySet {
  readonly name: string
  readonly dataset: Dataset
  readonly models: readonly string[]
  /** dollars a million tokens; for open weights, active parameters in billions stand for them */
  readonly prices: ReadonlyMap<string, Price>
}

/** MMLU-Pro's open-weight models from `WEIR_DATA`, else `../shared/data`; undefined where they are not there. */
export async function openWeightSet(): Promise<ManySet | undefined> {
  const folder = process.env.WEIR_DATA ?? join(import.meta.dirname, '../../../shared/data')
  const log = join(folder, 'mmlu-pro.jsonl.gz')
  const parameters = join(folder, 'active-parameters.json')
  if (!existsSync(log) || !existsSync(parameters)) return undefined
  const billions = JSON.parse(await readFile(parameters, 'utf8')) as Record<string, unknown>
  const prices = new Map(
    Object.entries(billions)
      .filter((entry): entry is [string, number] => typeof entry[1] === 'number')
      .map(([model, active]) => [model, { input: 0, output: active }]),
  )
  const dataset = await readLogs([log], { seed: 1 })
  const models = dataset.models.filter((model) => prices.has(model))
  return { name: 'mmlu_pro_open', dataset, models, prices }
}

export interface FoldOptions {
  readonly fold: number
  readonly folds: number
  readonly seed: number
}

/** Of the training folds' cells one in so many selects and sets the rule: dollars vary a lot from prompt to prompt. */
const VALIDATION_CELLS = 5

/** The dataset as one fold sees it: its stems held out as test, a fifth of the others as validation. */
export function manyFold(dataset: Dataset, { fold, folds, seed }: FoldOptions): Dataset {
  const [train, validation, test] = (['train', 'validation', 'test'] as const).map((split) =>
    SPLITS.indexOf(split),
  ) as [number, number, number]
  const split = Uint8Array.from(stemCells(dataset, seed), (cell) => {
    if (cell % folds === fold) return test
    return Math.floor(cell / folds) % VALIDATION_CELLS === 0 ? validation : train
  })
  return { ...dataset, split }
}
