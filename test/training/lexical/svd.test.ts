import { Matrix, SingularValueDecomposition } from 'ml-matrix'
import { expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { SparseEmbeddings } from '../../../models/encoders/embeddings.ts'
import { orthonormalise } from '../../../training/lexical/orthogonal.ts'
import { truncatedSvd } from '../../../training/lexical/svd.ts'

/** Rows whose singular values fall off, so that the leading ones are well apart. */
function fallingRows(rows: number, columns: number): { sparse: SparseEmbeddings; full: Matrix } {
  const random = createRandom(7)
  const full = Matrix.zeros(rows, columns)
  for (let k = 0; k < 12; k++) {
    const strength = 10 * 0.6 ** k
    const left = Array.from({ length: rows }, () => random.normal())
    const right = Array.from({ length: columns }, () => (random.next() < 0.3 ? random.normal() : 0))
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        full.set(i, j, full.get(i, j) + strength * left[i]! * right[j]!)
      }
    }
  }
  const offsets = [0]
  const ids: number[] = []
  const weights: number[] = []
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      if (full.get(i, j) === 0) continue
      ids.push(j)
      weights.push(full.get(i, j))
    }
    // a column past those asked for must play no part
    ids.push(columns)
    weights.push(1000)
    offsets.push(ids.length)
  }
  return {
    full,
    sparse: {
      kind: 'sparse',
      rows,
      dimension: columns + 1,
      offsets: Uint32Array.from(offsets),
      ids: Uint32Array.from(ids),
      weights: Float32Array.from(weights),
    },
  }
}

it('truncated SVD finds the singular values and vectors of a full decomposition', async () => {
  const { sparse, full } = fallingRows(80, 50)
  const found = await truncatedSvd(sparse, { columns: 50, dimension: 6, seed: 1 })
  const exact = new SingularValueDecomposition(full)
  for (let k = 0; k < 6; k++) {
    expect(found.singularValues[k]! / exact.diagonal[k]!).toBeCloseTo(1, 4)
    let cosine = 0
    for (let j = 0; j < 50; j++) {
      cosine += found.values[j * 6 + k]! * exact.rightSingularVectors.get(j, k)
    }
    expect(Math.abs(cosine)).toBeCloseTo(1, 4)
  }
})

it('truncated SVD gives the same vectors for the same seed, and signs for any seed', async () => {
  const { sparse } = fallingRows(60, 40)
  const once = await truncatedSvd(sparse, { columns: 40, dimension: 4, seed: 1 })
  const again = await truncatedSvd(sparse, { columns: 40, dimension: 4, seed: 1 })
  const other = await truncatedSvd(sparse, { columns: 40, dimension: 4, seed: 2 })
  expect(again.values).toEqual(once.values)
  other.values.forEach((value, i) => {
    expect(value).toBeCloseTo(once.values[i]!, 3)
  })
})

it('truncated SVD shrinks its dimension to what few rows can carry', async () => {
  const { sparse } = fallingRows(3, 40)
  const found = await truncatedSvd(sparse, { columns: 40, dimension: 16, seed: 1 })
  expect(found.dimension).toBe(3)
  expect(found.values).toHaveLength(40 * 3)
})

it('truncated SVD stops when it is aborted', async () => {
  const { sparse } = fallingRows(20, 20)
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(
    truncatedSvd(sparse, { columns: 20, dimension: 4, seed: 1, signal }),
  ).rejects.toThrow('enough')
})

it('orthonormalise turns a dependent column into zeros and the others into a basis', () => {
  const random = createRandom(3)
  const rows = 50
  const matrix = new Float32Array(rows * 3)
  for (let i = 0; i < rows; i++) {
    matrix[i * 3] = random.normal()
    matrix[i * 3 + 1] = 2 * matrix[i * 3]!
    matrix[i * 3 + 2] = random.normal()
  }
  orthonormalise(matrix, rows, 3, 2)
  const dot = (a: number, b: number): number => {
    let sum = 0
    for (let i = 0; i < rows; i++) sum += matrix[i * 3 + a]! * matrix[i * 3 + b]!
    return sum
  }
  expect(dot(0, 0)).toBeCloseTo(1, 5)
  expect(dot(2, 2)).toBeCloseTo(1, 5)
  expect(dot(0, 2)).toBeCloseTo(0, 5)
  expect(dot(1, 1)).toBe(0)
})
