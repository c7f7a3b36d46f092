import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Tensor } from '../../models/family.ts'
import type { EpochRecord, FitData, FitOptions, FitSpec } from './engine.ts'

/** All that a run needs to go on after an epoch as if it had never stopped. */
export interface Checkpoint {
  /** what run it is of; a file of another run is not resumed */
  readonly fingerprint: string
  readonly epochs: readonly EpochRecord[]
  readonly bestEpoch: number
  /** the engine's own arrays */
  readonly state: Readonly<Record<string, Tensor>>
  /** parameters of the best epoch */
  readonly best: Readonly<Record<string, Tensor>>
}

interface Header extends Omit<Checkpoint, 'state' | 'best'> {
  readonly arrays: readonly { group: 'state' | 'best'; name: string; shape: readonly number[] }[]
}

/** Written beside its place and renamed, so that a kill leaves the last whole one. */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { state, best, ...rest } = checkpoint
  const tensors = [
    ...Object.entries(state).map(([name, tensor]) => ({ group: 'state' as const, name, tensor })),
    ...Object.entries(best).map(([name, tensor]) => ({ group: 'best' as const, name, tensor })),
  ]
  const arrays = tensors.map(({ group, name, tensor }) => ({ group, name, shape: tensor.shape }))
  const header = Buffer.from(`${JSON.stringify({ ...rest, arrays } satisfies Header)}\n`)
  await mkdir(dirname(path), { recursive: true })
  const file = await open(`${path}.part`, 'w')
  try {
    await file.write(header)
    for (const { tensor } of tensors) await file.write(bytesOf(tensor.values))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.part`, path)
}

/** The checkpoint of that run, or undefined where there is none or it is of another run or not whole. */
export async function readCheckpoint(
  path: string,
  fingerprint: string,
): Promise<Checkpoint | undefined> {
  if (!existsSync(path)) return undefined
  const file = await readFile(path)
  const end = file.indexOf('\n')
  const header = parseHeader(file.subarray(0, Math.max(end, 0)).toString('utf8'))
  if (header?.fingerprint !== fingerprint) return undefined
  const groups = { state: {} as Record<string, Tensor>, best: {} as Record<string, Tensor> }
  let at = end + 1
  for (const { group, name, shape } of header.arrays) {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
    const part = file.subarray(at, at + values.byteLength)
    if (part.length !== values.byteLength) return undefined
    bytesOf(values).set(part)
    groups[group][name] = { shape, values }
    at += values.byteLength
  }
  const { epochs, bestEpoch } = header
  return { fingerprint, epochs, bestEpoch, ...groups }
}

export async function removeCheckpoint(path: string): Promise<void> {
  await rm(path, { force: true })
  await rm(`${path}.part`, { force: true })
}

/** SHA-256 of everything that the bits of a run depend on. */
export function fitFingerprint(
  backend: string,
  spec: FitSpec,
  { train, validation }: FitData,
  { batchSize, learningRate, seed, patience }: FitOptions,
): string {
  const hash = createHash('sha256')
  const note = (value: unknown): void => void hash.update(`${JSON.stringify(value)}\n`)
  note({
    backend,
    name: spec.name,
    loss: String(spec.loss),
    batchSize,
    learningRate,
    seed,
    patience,
  })
  for (const [name, { shape, values, l2 }] of Object.entries(spec.parameters)) {
    note({ name, shape, l2 })
    hash.update(bytesOf(values))
  }
  for (const rows of [train, validation]) {
    note(rows.rows)
    hash.update(bytesOf(rows.weight))
    for (const [name, values] of Object.entries(rows.columns)) {
      note(name)
      hash.update(bytesOf(values))
    }
    for (const [name, { table, index }] of Object.entries(rows.lookups)) {
      note({ name, shape: table.shape })
      hash.update(bytesOf(index)).update(bytesOf(table.values))
    }
  }
  return hash.digest('hex')
}

function parseHeader(text: string): Header | undefined {
  try {
    return JSON.parse(text) as Header
  } catch {
    return undefined
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
