import type { Batch, Column } from './arrow.ts'
import type { Names } from './names.ts'
import { OutcomeTable } from './outcome-table.ts'
import type { RowBlock } from './row-block.ts'

const BATCH_ROWS = 65_536

/** All that outcome rows say of prompts under models: `outcomes.arrow`, a column a kind and model. */
export class OutcomeTables {
  private readonly tables = {
    scores: new OutcomeTable(),
    costs: new OutcomeTable(),
    tokens: new OutcomeTable(),
    propensities: new OutcomeTable(),
  }

  get empty(): boolean {
    return this.tables.scores.empty
  }

  /** Row i of a block; `models` gives a block's numbers of models as ours. */
  add(prompt: number, block: RowBlock, i: number, models: Int32Array): void {
    const { scores, costs, tokens, propensities } = this.tables
    for (let at = block.entryOffset[i]!; at < block.entryOffset[i + 1]!; at++) {
      const model = models[block.entryModel[at]!]!
      scores.add(prompt, model, block.entryScore[at]!)
      addKnown(costs, prompt, model, block.entryCost[at]!)
      addKnown(tokens, prompt, model, block.entryTokens[at]!)
      addKnown(propensities, prompt, model, block.entryPropensity[at]!)
    }
  }

  /** Prompts with at least one score, out of the first `prompts`. */
  observed(prompts: number): number {
    return this.tables.scores.observed(prompts)
  }

  /** @param sorted names of models, in the order of the columns */
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

function addKnown(table: OutcomeTable, prompt: number, model: number, value: number): void {
  if (!Number.isNaN(value)) table.add(prompt, model, value)
}
