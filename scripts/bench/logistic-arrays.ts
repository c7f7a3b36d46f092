import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRandom } from '../../core/random.ts'
import { bytes, readBuffer } from './train-arrays.ts'

/** One logistic regression on rows made like text embeddings: a few strong directions that no axis
 * lies along, noise in all, unit length. */
export interface LogisticShape {
  readonly rows: number
  readonly dimension: number
  readonly l2: number
}

const FACTORS = 24

export function writeLogisticArrays(folder: string, { rows, dimension }: LogisticShape): void {
  const random = createRandom(7)
  const values = new Float32Array(rows * dimension)
  const labels = new Float32Array(rows)
  const directions = Float32Array.from({ length: FACTORS * dimension }, () => random.normal())
  const truth = Float64Array.from({ length: dimension }, () => random.normal())
  for (let i = 0; i < rows; i++) {
    const row = values.subarray(i * dimension, (i + 1) * dimension)
    for (let j = 0; j < dimension; j++) row[j] = random.normal()
    for (let k = 0; k < FACTORS; k++) {
      const strength = (2 * random.normal()) / Math.sqrt(1 + k)
      const direction = directions.subarray(k * dimension, (k + 1) * dimension)
      for (let j = 0; j < dimension; j++) row[j]! += strength * direction[j]!
    }
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0))
    let z = -0.5
    for (let j = 0; j < dimension; j++) {
      row[j]! /= length
      z += 3 * row[j]! * truth[j]!
    }
    labels[i] = Number(random.next() < 1 / (1 + Math.exp(-z)))
  }
  writeFileSync(join(folder, 'x'), bytes(values))
  writeFileSync(join(folder, 'y'), bytes(labels))
}

export function readLogisticArrays(folder: string): { x: Float32Array; y: Float32Array } {
  return {
    x: new Float32Array(readBuffer(folder, 'x')),
    y: new Float32Array(readBuffer(folder, 'y')),
  }
}
