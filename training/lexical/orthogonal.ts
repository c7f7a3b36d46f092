import { EigenvalueDecomposition, Matrix } from 'ml-matrix'

/**
 * Makes a tall matrix's columns orthonormal in place (rows x width, row-major), by Cholesky QR; done
 * twice it is as accurate as Householder QR here (Yamamoto et al. 2015), and it reads the rows in order.
 * A column that depends on the ones before it becomes zero.
 */
export function orthonormalise(
  matrix: Float32Array,
  rows: number,
  width: number,
  passes: 1 | 2,
): void {
  for (let pass = 0; pass < passes; pass++) {
    const inverse = inverseCholesky(crossProducts(matrix, rows, width), width)
    const row = new Float64Array(width)
    for (let i = 0; i < rows; i++) {
      const at = i * width
      row.fill(0)
      for (let j = 0; j < width; j++) {
        const value = matrix[at + j]!
        if (value === 0) continue
        for (let k = j; k < width; k++) row[k]! += value * inverse[j * width + k]!
      }
      matrix.set(row, at)
    }
  }
}

/** M^T M (width x width), upper half filled in both halves; sums in double precision. */
export function crossProducts(matrix: Float32Array, rows: number, width: number): Float64Array {
  const out = new Float64Array(width * width)
  for (let row = 0; row < rows; row++) {
    const at = row * width
    for (let i = 0; i < width; i++) {
      const value = matrix[at + i]!
      if (value === 0) continue
      const to = i * width
      for (let j = i; j < width; j++) out[to + j]! += value * matrix[at + j]!
    }
  }
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < i; j++) out[i * width + j] = out[j * width + i]!
  }
  return out
}

/** R^-1 (upper triangular) where R^T R = the given matrix; zero columns where it is singular. */
export function inverseCholesky(matrix: Float64Array, n: number): Float64Array {
  const r = new Float64Array(n * n)
  for (let j = 0; j < n; j++) {
    let diagonal = matrix[j * n + j]!
    for (let k = 0; k < j; k++) diagonal -= r[k * n + j]! ** 2
    const pivot = diagonal > 1e-10 * matrix[j * n + j]! ? Math.sqrt(diagonal) : 0
    r[j * n + j] = pivot
    if (pivot === 0) continue
    for (let i = j + 1; i < n; i++) {
      let sum = matrix[j * n + i]!
      for (let k = 0; k < j; k++) sum -= r[k * n + j]! * r[k * n + i]!
      r[j * n + i] = sum / pivot
    }
  }
  const inverse = new Float64Array(n * n)
  for (let j = 0; j < n; j++) {
    if (r[j * n + j] === 0) continue
    inverse[j * n + j] = 1 / r[j * n + j]!
    for (let i = j - 1; i >= 0; i--) {
      if (r[i * n + i] === 0) continue
      let sum = 0
      for (let k = i + 1; k <= j; k++) sum += r[i * n + k]! * inverse[k * n + j]!
      inverse[i * n + j] = -sum / r[i * n + i]!
    }
  }
  return inverse
}

/** Eigenvalues, largest first, and eigenvectors (columns, n x n row-major) of a symmetric matrix. */
export function symmetricEigen(
  matrix: Float64Array,
  n: number,
): { values: Float64Array; vectors: Float64Array } {
  const square = Matrix.from1DArray(n, n, matrix)
  const decomposition = new EigenvalueDecomposition(square, { assumeSymmetric: true })
  const found = decomposition.realEigenvalues
  const order = Array.from(found.keys()).sort((a, b) => found[b]! - found[a]!)
  const vectors = new Float64Array(n * n)
  order.forEach((from, to) => {
    for (let row = 0; row < n; row++) {
      vectors[row * n + to] = decomposition.eigenvectorMatrix.get(row, from)
    }
  })
  return { values: Float64Array.from(order, (index) => found[index]!), vectors }
}
