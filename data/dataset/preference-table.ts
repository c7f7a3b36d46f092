import { rm } from 'node:fs/promises'
import type { RowBlock } from '../rows/row-block.ts'
import { type ArrowWriter, type Batch, openArrowWriter, readArrow } from '../source/arrow.ts'

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

/**
 * Every preference that was kept, in order. One batch is in memory; full ones wait in a file of their own, because
 * the models' numbers in the dataset are known only once all rows are read.
 */
export class PreferenceTable {
  private readonly path: string
  private columns = allocate()
  /** rows in `columns` */
  private rows = 0
  /** full batches waiting to be written */
  private readonly full: Columns[] = []
  private writer: ArrowWriter | undefined
  length = 0
  /** whether any row has a propensity; if not, the dataset's file has no such column */
  private propensities = false
  private readonly met: number[] = []
  private readonly won: number[] = []

  /** @param path of the file for full batches, which exists until `close` if there were any */
  constructor(path: string) {
    this.path = path
  }

  /**
   * Adds row i of a block; `models` and `judges` map the block's numbers to the dataset's. Call `flush` between blocks.
   */
  add(prompt: number, block: RowBlock, i: number, models: Int32Array, judges: Int32Array): void {
    if (this.rows === BATCH_ROWS) {
      this.full.push(this.columns)
      this.columns = allocate()
      this.rows = 0
    }
    const { columns } = this
    const at = this.rows++
    this.length++
    const judge = block.judge[i]!
    const a = models[block.modelA[i]!]!
    const b = models[block.modelB[i]!]!
    const winner = block.winner[i]!
    columns.prompt[at] = prompt
    columns.model_a[at] = a
    columns.model_b[at] = b
    columns.winner[at] = winner
    columns.weight[at] = block.weight[i]!
    columns.judge[at] = judge < 0 ? judge : judges[judge]!
    columns.timestamp[at] = block.timestamp[i]!
    const propensity = block.propensity[i]!
    columns.propensity[at] = propensity
    if (!Number.isNaN(propensity)) this.propensities = true
    const share = winner === 0 ? 1 : winner === 1 ? 0 : 0.5
    this.met[a] = (this.met[a] ?? 0) + 1
    this.met[b] = (this.met[b] ?? 0) + 1
    this.won[a] = (this.won[a] ?? 0) + share
    this.won[b] = (this.won[b] ?? 0) + 1 - share
  }

  /** The number of a model's votes, and of those it won, with a tie as half of one. */
  tally(model: number): { readonly met: number; readonly won: number } {
    return { met: this.met[model] ?? 0, won: this.won[model] ?? 0 }
  }

  /** Writes the full batches. */
  async flush(): Promise<void> {
    for (const columns of this.full.splice(0)) {
      this.writer ??= await openArrowWriter(this.path)
      await this.writer.write({ rows: BATCH_ROWS, columns: { ...columns } })
    }
  }

  /** All rows, read back; nothing may be added after it. `place`: each model's index in the dataset. */
  async *batches(place: Int32Array): AsyncGenerator<Batch> {
    await this.flush()
    const placed = (rows: number, columns: Columns): Batch => {
      const { propensity, ...others } = columns
      return {
        rows,
        columns: {
          ...others,
          model_a: columns.model_a.map((model) => place[model]!),
          model_b: columns.model_b.map((model) => place[model]!),
          ...(this.propensities && { propensity }),
        },
      }
    }
    if (this.writer) {
      await this.writer.close()
      for await (const batch of readArrow(this.path)) {
        yield placed(batch.rows, {
          prompt: batch.numbers('prompt', Int32Array),
          model_a: batch.numbers('model_a', Int32Array),
          model_b: batch.numbers('model_b', Int32Array),
          winner: batch.numbers('winner', Uint8Array),
          weight: batch.numbers('weight', Float32Array),
          judge: batch.numbers('judge', Int32Array),
          timestamp: batch.numbers('timestamp', Float64Array),
          propensity: batch.numbers('propensity', Float32Array),
        })
      }
    }
    if (this.rows > 0) yield placed(this.rows, this.last())
  }

  /** Removes the file. */
  async close(): Promise<void> {
    if (!this.writer) return
    await this.writer.abandon()
    await rm(this.path, { force: true })
  }

  private last(): Columns {
    const { columns, rows } = this
    return {
      prompt: columns.prompt.subarray(0, rows),
      model_a: columns.model_a.subarray(0, rows),
      model_b: columns.model_b.subarray(0, rows),
      winner: columns.winner.subarray(0, rows),
      weight: columns.weight.subarray(0, rows),
      judge: columns.judge.subarray(0, rows),
      timestamp: columns.timestamp.subarray(0, rows),
      propensity: columns.propensity.subarray(0, rows),
    }
  }
}

const allocate = (): Columns => ({
  prompt: new Int32Array(BATCH_ROWS),
  model_a: new Int32Array(BATCH_ROWS),
  model_b: new Int32Array(BATCH_ROWS),
  winner: new Uint8Array(BATCH_ROWS),
  weight: new Float32Array(BATCH_ROWS),
  judge: new Int32Array(BATCH_ROWS),
  timestamp: new Float64Array(BATCH_ROWS),
  propensity: new Float32Array(BATCH_ROWS),
})
