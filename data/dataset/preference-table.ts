import type { RowBlock } from '../rows/row-block.ts'
import type { Batch } from '../source/arrow.ts'

const BATCH_ROWS = 65_536

interface Columns {
  prompt: Int32Array
  model_a: Int32Array
  model_b: Int32Array
  winner: Uint8Array
  weight: Float32Array
  judge: Int32Array
  timestamp: Float64Array
  propensity: Float32Array
}

/** Every preference that was kept, 33 bytes each. */
export class PreferenceTable {
  private columns = allocate(4096)
  length = 0
  /** whether any row has a propensity; if not, the file has no such column */
  private propensities = false

  /** Adds row i of a block; `models` and `judges` map the block's numbers to the dataset's. */
  add(prompt: number, block: RowBlock, i: number, models: Int32Array, judges: Int32Array): void {
    if (this.length === this.columns.prompt.length) this.grow()
    const { columns } = this
    const at = this.length++
    const judge = block.judge[i]!
    columns.prompt[at] = prompt
    columns.model_a[at] = models[block.modelA[i]!]!
    columns.model_b[at] = models[block.modelB[i]!]!
    columns.winner[at] = block.winner[i]!
    columns.weight[at] = block.weight[i]!
    columns.judge[at] = judge < 0 ? judge : judges[judge]!
    columns.timestamp[at] = block.timestamp[i]!
    const propensity = block.propensity[i]!
    columns.propensity[at] = propensity
    if (!Number.isNaN(propensity)) this.propensities = true
  }

  /** The number of votes of each model, and of those it won, with a tie as half of one. */
  tally(models: number): { readonly met: Float64Array; readonly won: Float64Array } {
    const met = new Float64Array(models)
    const won = new Float64Array(models)
    const { model_a, model_b, winner } = this.columns
    for (let i = 0; i < this.length; i++) {
      const [a, b] = [model_a[i]!, model_b[i]!]
      const share = winner[i] === 0 ? 1 : winner[i] === 1 ? 0 : 0.5
      met[a]!++
      met[b]!++
      won[a]! += share
      won[b]! += 1 - share
    }
    return { met, won }
  }

  /** `place`: each model's index in the file. */
  *batches(place: Int32Array): Generator<Batch> {
    for (let start = 0; start < this.length; start += BATCH_ROWS) {
      const end = Math.min(start + BATCH_ROWS, this.length)
      const { columns } = this
      yield {
        rows: end - start,
        columns: {
          prompt: columns.prompt.subarray(start, end),
          model_a: columns.model_a.subarray(start, end).map((model) => place[model]!),
          model_b: columns.model_b.subarray(start, end).map((model) => place[model]!),
          winner: columns.winner.subarray(start, end),
          weight: columns.weight.subarray(start, end),
          judge: columns.judge.subarray(start, end),
          timestamp: columns.timestamp.subarray(start, end),
          ...(this.propensities && { propensity: columns.propensity.subarray(start, end) }),
        },
      }
    }
  }

  private grow(): void {
    const grown = allocate(this.length * 2)
    for (const name of Object.keys(grown) as (keyof Columns)[]) grown[name].set(this.columns[name])
    this.columns = grown
  }
}

function allocate(rows: number): Columns {
  return {
    prompt: new Int32Array(rows),
    model_a: new Int32Array(rows),
    model_b: new Int32Array(rows),
    winner: new Uint8Array(rows),
    weight: new Float32Array(rows),
    judge: new Int32Array(rows),
    timestamp: new Float64Array(rows),
    propensity: new Float32Array(rows),
  }
}
