import { join } from 'node:path'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import { readLogs } from '../../../data/ingest.ts'
import { pairLabels } from '../../../data/pair.ts'
import { estimateCost } from '../../../models/prices.ts'
import type { CalibrationRows } from '../../../training/calibrate/rows.ts'
import { findLogs, GSM8K, MMLU } from '../logs.ts'
import { outOfFoldWinRates } from '../out-of-fold.ts'
import { stemCells } from '../router-sets.ts'

export interface ScoredTable {
  readonly name: string
  /**
   * out-of-fold win rates; dollars from list prices and simulated answer lengths, since the tables have none
   */
  readonly rows: CalibrationRows & { readonly gain: Float64Array }
  readonly categories: readonly (string | undefined)[]
  readonly prompts: readonly string[]
  /** by stem */
  readonly fold: Int32Array
}

export interface TableOptions {
  readonly router: string
  readonly folds: number
  readonly seed: number
  readonly note: (line: string) => void
  readonly onFold?: (name: string, fold: number) => void
}

const STRONG_PRICE = { input: 10, output: 30 }
const WEAK_PRICE = { input: 0.24, output: 0.24 }

/** RouteLLM's outcome tables, or the project's sample log. */
export async function scoredTables(options: TableOptions): Promise<ScoredTable[]> {
  const { folder, logs } = findLogs([MMLU, GSM8K], [], options.note)
  const tables: ScoredTable[] = []
  for (const { name, file, strong, weak } of logs) {
    const dataset = await readLogs([join(folder, file)], { seed: options.seed })
    const winRate = await outOfFoldWinRates(dataset, {
      ...options,
      strong,
      weak,
      onFold: (fold) => options.onFold?.(name, fold),
    })
    const cells = stemCells(dataset, options.seed)
    const labels = pairLabels(dataset, strong, weak)
    const random = createRandom(deriveSeed(options.seed, 'answer lengths'))
    const column = (value: (prompt: number, label: number) => number): Float64Array =>
      Float64Array.from(labels.prompt, value)
    const cost = (price: typeof STRONG_PRICE) =>
      column((prompt) =>
        estimateCost(price, dataset.prompts[prompt]!.length, Math.exp(5 + 0.7 * random.normal())),
      )
    tables.push({
      name,
      rows: {
        winRate: column((prompt) => winRate[prompt]!),
        gain: column((_, label) => labels.strong![label]! - labels.weak![label]!),
        weak: column((_, label) => labels.weak![label]!),
        strongCost: cost(STRONG_PRICE),
        weakCost: cost(WEAK_PRICE),
      },
      categories: Array.from(labels.prompt, (prompt) => dataset.categories[prompt]),
      prompts: Array.from(labels.prompt, (prompt) => dataset.prompts[prompt]!),
      fold: labels.prompt.map((prompt) => cells[prompt]! % options.folds),
    })
  }
  return tables
}
