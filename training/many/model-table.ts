/** What is known of n prompts and m models; matrices are n x m, row-major. */
export interface ModelTable {
  readonly models: readonly string[]
  readonly rows: number
  /** in [0, 1], every one observed */
  readonly scores: Float64Array
  /** US dollars of the request */
  readonly costs: Float64Array
}

/** What a router expects of the same prompts and models. */
export interface Expectations {
  readonly quality: Float64Array
  /** US dollars */
  readonly costs: Float64Array
}

/** The mean of one model's column over the prompts, each counted as often as `counts` says. */
export function columnMean(
  values: Float64Array,
  m: number,
  model: number,
  counts?: ArrayLike<number>,
): number {
  let sum = 0
  let drawn = 0
  for (let i = 0, at = model; at < values.length; i++, at += m) {
    const count = counts ? counts[i]! : 1
    sum += count * values[at]!
    drawn += count
  }
  return sum / drawn
}

/** The given rows, in the given order. */
export function takeTable(table: ModelTable, rows: ArrayLike<number>): ModelTable {
  const m = table.models.length
  return {
    models: table.models,
    rows: rows.length,
    scores: takeMatrix(table.scores, m, rows),
    costs: takeMatrix(table.costs, m, rows),
  }
}

export function takeMatrix(values: Float64Array, m: number, rows: ArrayLike<number>): Float64Array {
  const taken = new Float64Array(rows.length * m)
  for (let i = 0; i < rows.length; i++) {
    taken.set(values.subarray(rows[i]! * m, (rows[i]! + 1) * m), i * m)
  }
  return taken
}
