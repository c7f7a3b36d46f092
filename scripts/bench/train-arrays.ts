import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRandom } from '../../core/random.ts'
import type { FitRows, FitSpec } from '../../training/engine/engine.ts'
import { mfSpec } from '../../training/trainers/heads/mf.ts'

/** One mf training problem of the size of RouteLLM's: the same arrays for every engine. */
export interface MfShape {
  readonly pairs: number
  readonly models: number
  readonly rank: number
  readonly dimension: number
  readonly batchSize: number
  readonly epochs: number
}

export const LEARNING_RATE = 3e-4
export const L2 = 1e-5
export const SEED = 1
const VALIDATION_ROWS = 256

/** Writes the arrays as raw little-endian files, drawn from a known preference model. */
export function writeMfArrays(folder: string, { pairs, models, rank, dimension }: MfShape): void {
  const random = createRandom(SEED)
  const embeddings = new Float32Array(pairs * dimension)
  for (let i = 0; i < embeddings.length; i++) embeddings[i] = random.normal() / Math.sqrt(dimension)
  const skill = Float32Array.from({ length: models * 8 }, () => random.normal())
  const a = Int32Array.from({ length: pairs }, () => random.int(models))
  const b = Int32Array.from(a, (first) => (first + 1 + random.int(models - 1)) % models)
  const label = Float32Array.from({ length: pairs }, (_, row) => {
    let delta = skill[a[row]! * 8]! - skill[b[row]! * 8]!
    for (let k = 1; k < 8; k++) {
      const scale = embeddings[row * dimension + k]! * Math.sqrt(dimension)
      delta += 0.3 * scale * (skill[a[row]! * 8 + k]! - skill[b[row]! * 8 + k]!)
    }
    return random.next() < 0.1 ? 0.5 : Number(random.next() < 1 / (1 + Math.exp(-delta)))
  })
  const files: Record<string, Float32Array | Int32Array> = { embeddings, a, b, label }
  const { parameters } = mfSpec(models, dimension, { rank, l2: L2 }, createRandom(SEED + 1))
  for (const [name, { values }] of Object.entries(parameters)) files[name] = values
  for (const [name, values] of Object.entries(files))
    writeFileSync(join(folder, name), bytes(values))
}

/** The same problem in the engines' format. */
export function readMfArrays(
  folder: string,
  { pairs, models, rank, dimension }: MfShape,
): { spec: FitSpec; train: FitRows; validation: FitRows } {
  const floats = (name: string): Float32Array => new Float32Array(readBuffer(folder, name))
  const integers = (name: string): Int32Array => new Int32Array(readBuffer(folder, name))
  const drawn = mfSpec(models, dimension, { rank, l2: L2 }, createRandom(SEED + 1))
  const table = { shape: [pairs, dimension], values: floats('embeddings') }
  const index = Int32Array.from({ length: pairs }, (_, i) => i)
  const columns = { a: integers('a'), b: integers('b'), label: floats('label') }
  const weight = new Float32Array(pairs).fill(1)
  const train = { rows: pairs, columns, lookups: { embedding: { table, index } }, weight }
  const some = { embedding: { table, index: index.slice(0, VALIDATION_ROWS) } }
  const validation = {
    rows: VALIDATION_ROWS,
    columns: Object.fromEntries(
      Object.entries(columns).map(([name, values]) => [name, values.slice(0, VALIDATION_ROWS)]),
    ),
    lookups: some,
    weight: weight.slice(0, VALIDATION_ROWS),
  }
  return { spec: drawn, train, validation }
}

export function bytes({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

export function readBuffer(folder: string, name: string): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = readFileSync(join(folder, name))
  if (byteOffset === 0 && byteLength === buffer.byteLength) return buffer as ArrayBuffer
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer
}
