import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Dataset, SPLITS, type Split } from '../../data/dataset.ts'
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

/** Of the training folds' cells one tenth selects and the next two set lambda: dollars vary a lot from prompt to prompt. */
const CALIBRATION_TENTHS = 2

/**
 * The dataset as one fold sees it: its stems held out as test, and of the others what selects and what sets the
 * rule, as `weir train` and `weir calibrate` would have them. Each fold sets it on other tenths, so that one of
 * unusual dollars does not move all folds.
 */
export function manyFold(dataset: Dataset, { fold, folds, seed }: FoldOptions): Dataset {
  const place = (split: Split): number => SPLITS.indexOf(split)
  const split = Uint8Array.from(stemCells(dataset, seed), (cell) => {
    if (cell % folds === fold) return place('test')
    const tenth = (Math.floor(cell / folds) + CALIBRATION_TENTHS * fold) % 10
    if (tenth === 0) return place('validation')
    return place(tenth <= CALIBRATION_TENTHS ? 'calibration' : 'train')
  })
  return { ...dataset, split }
}
