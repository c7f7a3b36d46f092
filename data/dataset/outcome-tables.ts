import type { Names } from '../rows/names.ts'
import { KIND, type RowBlock } from '../rows/row-block.ts'
import type { Batch, Column } from '../source/arrow.ts'
import { Growable } from './growable.ts'

const BATCH_ROWS = 65_536

/**
 * Everything outcome rows record about prompts and models: `outcomes.arrow`, one column per kind and model.
 */
export class OutcomeTables {
  private readonly tables = {
    scores: new OutcomeTable(),
    costs: new OutcomeTable(),
    tokens: new OutcomeTable(),
    propensities: new OutcomeTable(),
    /** scores that weak signals let one expect */
    weak: new OutcomeTable(),
    unrated: new OutcomeTable(),
  }

  get empty(): boolean {
    return this.tables.scores.empty
  }

  /** Adds row i of a block; `models` maps the block's model numbers to the dataset's. */
  add(prompt: number, block: RowBlock, i: number, models: Int32Array): void {
    const { costs, tokens, propensities } = this.tables
    const scores = block.kind[i] === KIND.weak ? this.tables.weak : this.tables.scores
    for (let at = block.entryOffset[i]!; at < block.entryOffset[i + 1]!; at++) {
      const model = models[block.entryModel[at]!]!
      // a model that could have been asked has a propensity without a score
      addKnown(scores, prompt, model, block.entryScore[at]!, block.weight[i]!)
      addKnown(costs, prompt, model, block.entryCost[at]!)
      addKnown(tokens, prompt, model, block.entryTokens[at]!)
      addKnown(propensities, prompt, model, block.entryPropensity[at]!)
    }
  }

  /** Adds row i of a block, an answer without a score. */
  addUnrated(prompt: number, block: RowBlock, i: number, models: Int32Array): void {
    const { unrated, propensities } = this.tables
    unrated.add(prompt, models[block.modelA[i]!]!, 1, 1)
    for (let at = block.entryOffset[i]!; at < block.entryOffset[i + 1]!; at++) {
      addKnown(propensities, prompt, models[block.entryModel[at]!]!, block.entryPropensity[at]!)
    }
  }

  /** Number of prompts with at least one score, among the first `prompts`. */
  observed(prompts: number): number {
    return this.tables.scores.observed(prompts)
  }

  /** Sum and number of a model's scores. */
  total(model: number): { readonly sum: number; readonly count: number } {
    return this.tables.scores.total(model)
  }

  /** @param sorted model names, in the order of the columns */
  *batches(prompts: number, models: Names, sorted: readonly string[]): Generator<Batch> {
    const met = new Map(models.list().map((name, number) => [name, number]))
    for (let start = 0; start < prompts; start += BATCH_ROWS) {
      const end = Math.min(start + BATCH_ROWS, prompts)
      const columns: Record<string, Column> = {}
      for (const [kind, table] of Object.entries(this.tables)) {
        if (table.empty) continue
        for (const name of sorted) {
          columns[`${kind}/${name}`] = table.means(met.get(name)!, start, end)
        }
      }
      yield { rows: end - start, columns }
    }
  }
}

function addKnown(
  table: OutcomeTable,
  prompt: number,
  model: number,
  value: number,
  weight = 1,
): void {
  if (!Number.isNaN(value) && weight > 0) table.add(prompt, model, value, weight)
}

/** Weighted sums, weights and counts of one quantity for one model, one element per prompt. */
interface ModelColumn {
  readonly sum: Growable<Float64Array>
  readonly weight: Growable<Float64Array>
  readonly count: Growable<Int32Array>
}

/** Averages the observations of each prompt and model; NaN if not observed. */
class OutcomeTable {
  private readonly columns: ModelColumn[] = []

  get empty(): boolean {
    return this.columns.length === 0
  }

  add(prompt: number, model: number, value: number, weight: number): void {
    const column = this.column(model)
    column.sum.extend(prompt + 1)
    column.weight.extend(prompt + 1)
    column.count.extend(prompt + 1)
    column.sum.set(prompt, column.sum.at(prompt) + weight * value)
    column.weight.set(prompt, column.weight.at(prompt) + weight)
    column.count.set(prompt, column.count.at(prompt) + 1)
  }

  /** Means of prompts [start, end) for one model. */
  means(model: number, start: number, end: number): Float32Array {
    const means = new Float32Array(end - start).fill(Number.NaN)
    const column = this.columns[model]
    if (!column) return means
    for (let i = start; i < Math.min(end, column.count.length); i++) {
      const weight = column.weight.at(i)
      if (weight > 0) means[i - start] = column.sum.at(i) / weight
    }
    return means
  }

  /** Number of prompts with any observation, among the first `prompts`. */
  observed(prompts: number): number {
    const seen = new Uint8Array(prompts)
    for (const { count } of this.columns) {
      for (let i = 0; i < count.length; i++) if (count.at(i) > 0) seen[i] = 1
    }
    return seen.reduce((sum, value) => sum + value, 0)
  }

  total(model: number): { readonly sum: number; readonly count: number } {
    const column = this.columns[model]
    let sum = 0
    let count = 0
    for (let i = 0; column && i < column.count.length; i++) {
      const rows = column.count.at(i)
      if (rows > 0) sum += (rows * column.sum.at(i)) / column.weight.at(i)
      count += rows
    }
    return { sum, count }
  }

  private column(model: number): ModelColumn {
    while (this.columns.length <= model) {
      this.columns.push({
        sum: new Growable(Float64Array, 8),
        weight: new Growable(Float64Array, 8),
        count: new Growable(Int32Array, 8),
      })
    }
    return this.columns[model]!
  }
}
