import { EigenvalueDecomposition, Matrix } from 'ml-matrix'

/**
 * Makes a tall matrix's columns orthonormal in place (rows x width, row-major) by Cholesky QR. Done twice it
 * is as accurate as Householder QR (Yamamoto et al. 2015), and it reads the rows in order. A column that
 * depends on the previous ones becomes zero.
 */
export function orthonormalise(
  matrix: Float32Array,
  rows: number,
  width: number,
  passes: 1 | 2,
): void {
  for (let pass = 0; pass < passes; pass++) {
    turn(matrix, rows, width, inverseCholesky(crossProducts(matrix, rows, width), width))
  }
}

/** Number of rows processed at once: each number of the small matrix is read once for all of them. */
const BLOCK = 4

/** Multiplies by an upper triangular matrix from the right, in place. */
function turn(matrix: Float32Array, rows: number, width: number, upper: Float64Array): void {
  const sums = Array.from({ length: BLOCK }, () => new Float64Array(width))
  const [a, b, c, d] = sums as [Float64Array, Float64Array, Float64Array, Float64Array]
  for (let first = 0; first < rows; first += BLOCK) {
    for (const sum of sums) sum.fill(0)
    const at = first * width
    // past the end, reads give nothing and writes are skipped
    for (let j = 0; j < width; j++) {
      const [va, vb = 0, vc = 0, vd = 0] = [
        matrix[at + j]!,
        matrix[at + width + j],
        matrix[at + 2 * width + j],
        matrix[at + 3 * width + j],
      ]
      const from = j * width
      for (let k = j; k < width; k++) {
        const factor = upper[from + k]!
        a[k]! += va * factor
        b[k]! += vb * factor
        c[k]! += vc * factor
        d[k]! += vd * factor
      }
    }
    for (let i = 0; i < Math.min(BLOCK, rows - first); i++) matrix.set(sums[i]!, at + i * width)
  }
}

/** M^T M (width x width), computed for the upper triangle and mirrored; sums in double precision. */
export function crossProducts(matrix: Float32Array, rows: number, width: number): Float64Array {
  const out = new Float64Array(width * width)
  for (let row = 0; row < rows; row += BLOCK) {
    const a = matrix.subarray(row * width, (row + 1) * width)
    const [b, c, d] = [1, 2, 3].map((more) =>
      row + more < rows
        ? matrix.subarray((row + more) * width, (row + more + 1) * width)
        : new Float32Array(width),
    ) as [Float32Array, Float32Array, Float32Array]
    for (let i = 0; i < width; i++) {
      const [va, vb, vc, vd] = [a[i]!, b[i]!, c[i]!, d[i]!]
      const to = i * width
      for (let j = i; j < width; j++) {
        out[to + j]! += va * a[j]! + vb * b[j]! + vc * c[j]! + vd * d[j]!
      }
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
