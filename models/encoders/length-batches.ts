/** Rows of near-equal length that run together, and the length that the longest of them has. */
export interface LengthBatch {
  readonly rows: readonly number[]
  readonly width: number
}

/** Padding is wasted work: a batch is closed at a row this much longer than its shortest. */
const PADDING = 1.1

/**
 * Groups rows by length, at most `limit` a batch. A row's place depends on its own length only as far as
 * speed goes: encoders mask padding, so its numbers do not.
 *
 * @param lengths tokens of each row; rows of none are left out
 */
export function lengthBatches(lengths: readonly number[], limit: number): LengthBatch[] {
  const order = lengths
    .map((length, row) => ({ length, row }))
    .filter(({ length }) => length > 0)
    .sort((a, b) => a.length - b.length || a.row - b.row)
  const batches: { rows: number[]; width: number; shortest: number }[] = []
  for (const { length, row } of order) {
    const last = batches.at(-1)
    if (last && last.rows.length < limit && length <= last.shortest * PADDING) {
      last.rows.push(row)
      last.width = length
    } else batches.push({ rows: [row], width: length, shortest: length })
  }
  return batches
}
