import { Growable } from './growable.ts'

/** Sums and counts of one quantity of one model, a prompt each. */
interface ModelColumn {
  readonly sum: Growable<Float64Array>
  readonly count: Growable<Int32Array>
}

/** Averages what was observed of each prompt and model; what was not observed stays NaN. */
export class OutcomeTable {
  private readonly columns: ModelColumn[] = []

  get empty(): boolean {
    return this.columns.length === 0
  }

  add(prompt: number, model: number, value: number): void {
    const column = this.column(model)
    column.sum.extend(prompt + 1)
    column.count.extend(prompt + 1)
    column.sum.set(prompt, column.sum.at(prompt) + value)
    column.count.set(prompt, column.count.at(prompt) + 1)
  }

  /** Means of prompts [start, end) under one model. */
  means(model: number, start: number, end: number): Float32Array {
    const means = new Float32Array(end - start).fill(Number.NaN)
    const column = this.columns[model]
    if (!column) return means
    for (let i = start; i < Math.min(end, column.count.length); i++) {
      const count = column.count.at(i)
      if (count > 0) means[i - start] = column.sum.at(i) / count
    }
    return means
  }

  /** Prompts of which anything was observed, out of the first `prompts`. */
  observed(prompts: number): number {
    const seen = new Uint8Array(prompts)
    for (const { count } of this.columns) {
      for (let i = 0; i < count.length; i++) if (count.at(i) > 0) seen[i] = 1
    }
    return seen.reduce((sum, value) => sum + value, 0)
  }

  private column(model: number): ModelColumn {
    while (this.columns.length <= model) {
      this.columns.push({ sum: new Growable(Float64Array, 8), count: new Growable(Int32Array, 8) })
    }
    return this.columns[model]!
  }
}
