/** rows x columns, row-major */
export interface DenseMatrix {
  readonly rows: number
  readonly columns: number
  readonly values: Float32Array
}

/** The given rows, in the given order. */
export function pickRows(
  { columns, values }: Pick<DenseMatrix, 'columns' | 'values'>,
  rows: ArrayLike<number>,
): DenseMatrix {
  const out = new Float32Array(rows.length * columns)
  for (let at = 0; at < rows.length; at++) {
    const row = rows[at]!
    out.set(values.subarray(row * columns, (row + 1) * columns), at * columns)
  }
  return { rows: rows.length, columns, values: out }
}

/** Two matrices with the same number of rows, side by side. */
export function stackColumns(a: DenseMatrix, b: DenseMatrix): DenseMatrix {
  const columns = a.columns + b.columns
  const out = new Float32Array(a.rows * columns)
  for (let row = 0; row < a.rows; row++) {
    out.set(a.values.subarray(row * a.columns, (row + 1) * a.columns), row * columns)
    out.set(b.values.subarray(row * b.columns, (row + 1) * b.columns), row * columns + a.columns)
  }
  return { rows: a.rows, columns, values: out }
}

/** Two matrices with the same number of columns, one above the other. */
export function stackRows(a: DenseMatrix, b: DenseMatrix): DenseMatrix {
  const values = new Float32Array(a.values.length + b.values.length)
  values.set(a.values)
  values.set(b.values, a.values.length)
  return { rows: a.rows + b.rows, columns: a.columns, values }
}
