import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { makeFolders, removePartials, writeWhole } from '../../core/files.ts'
import type { Tensor } from '../../models/families/family.ts'
import type { EpochRecord, FitData, FitOptions, FitResult, FitSpec } from './engine.ts'

/** What an engine implements for one run; the loop around it is common to all engines. */
export interface EpochRunner {
  /** Trains one epoch (counted from 1) and returns its mean loss, without the L2 terms. */
  train(epoch: number): Promise<number>
  /** Returns the mean validation loss. */
  validate(): Promise<number>
  parameters(): Promise<Readonly<Record<string, Tensor>>>
  /** Everything that `restore` needs to continue from here. */
  state(): Promise<Readonly<Record<string, Tensor>>>
  restore(state: Readonly<Record<string, Tensor>>): Promise<void>
}

/**
 * Trains until `patience` epochs in a row bring no better validation loss, keeping the best parameters. With
 * a checkpoint it resumes a killed run that has the same fingerprint.
 *
 * @throws training_diverged if a loss is not finite; cancelled if the signal came before the first epoch
 * ended (later, the best parameters so far are returned)
 */
export async function runEpochs(
  runner: EpochRunner,
  options: FitOptions,
  fingerprint: string,
): Promise<Omit<FitResult, 'backend'>> {
  const { checkpoint, signal } = options
  const saved = checkpoint ? await readCheckpoint(checkpoint, fingerprint) : undefined
  if (saved) await runner.restore(saved.state)
  const epochs: EpochRecord[] = [...(saved?.epochs ?? [])]
  let best = saved && { epoch: saved.bestEpoch, parameters: saved.best }
  const bestLoss = (): number => (best ? epochs[best.epoch - 1]!.validationLoss : Infinity)

  while (epochs.length < options.epochs && epochs.length - (best?.epoch ?? 0) < options.patience) {
    if (signal?.aborted) break
    const epoch = epochs.length + 1
    const began = performance.now()
    const trainLoss = finite(await runner.train(epoch), epoch)
    const validationLoss = finite(await runner.validate(), epoch)
    const seconds = (performance.now() - began) / 1000
    const better = validationLoss < bestLoss()
    const parameters = better || options.validationApgr ? await runner.parameters() : undefined
    const apgr = parameters && options.validationApgr?.(parameters)
    epochs.push({
      epoch,
      trainLoss,
      validationLoss,
      ...(apgr === undefined ? {} : { validationApgr: apgr }),
      seconds,
    })
    if (better) best = { epoch, parameters: parameters! }
    if (checkpoint && best) {
      const state = await runner.state()
      const { epoch: bestEpoch, parameters: bestSoFar } = best
      await writeCheckpoint(checkpoint, { fingerprint, epochs, bestEpoch, state, best: bestSoFar })
    }
    options.onProgress?.({
      stage: 'training',
      done: epoch,
      total: options.epochs,
      note: [
        `loss ${trainLoss.toFixed(4)}`,
        `validation ${validationLoss.toFixed(4)} (best ${bestLoss().toFixed(4)} at ${best?.epoch})`,
        ...(apgr === undefined ? [] : [`APGR ${apgr.toFixed(3)}`]),
      ].join(', '),
    })
  }
  if (!best) throw new WeirError('cancelled', { signal: 'request' })
  const stopped = signal?.aborted ?? false
  if (checkpoint && !stopped) await removeCheckpoint(checkpoint)
  const resumedAfter = saved?.epochs.length ?? 0
  return { parameters: best.parameters, epochs, bestEpoch: best.epoch, stopped, resumedAfter }
}

function finite(loss: number, epoch: number): number {
  if (!Number.isFinite(loss)) throw new WeirError('training_diverged', { value: loss, epoch })
  return loss
}

/** Everything needed to continue a run after an epoch as if it had never stopped. */
export interface Checkpoint {
  /** identifies the run; the checkpoint of a different run is ignored */
  readonly fingerprint: string
  readonly epochs: readonly EpochRecord[]
  readonly bestEpoch: number
  /** the engine's arrays */
  readonly state: Readonly<Record<string, Tensor>>
  /** parameters of the best epoch */
  readonly best: Readonly<Record<string, Tensor>>
}

interface Header extends Omit<Checkpoint, 'state' | 'best'> {
  readonly arrays: readonly { group: 'state' | 'best'; name: string; shape: readonly number[] }[]
}

/** Writes to a temporary file and renames it, so that a kill leaves the previous complete checkpoint. */
async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { state, best, ...rest } = checkpoint
  const tensors = [
    ...Object.entries(state).map(([name, tensor]) => ({ group: 'state' as const, name, tensor })),
    ...Object.entries(best).map(([name, tensor]) => ({ group: 'best' as const, name, tensor })),
  ]
  const arrays = tensors.map(({ group, name, tensor }) => ({ group, name, shape: tensor.shape }))
  const header = Buffer.from(`${JSON.stringify({ ...rest, arrays } satisfies Header)}\n`)
  makeFolders(dirname(path))
  await writeWhole(path, [header, ...tensors.map(({ tensor }) => bytesOf(tensor.values))])
}

/** The run's checkpoint, or undefined if there is none, or if it is incomplete or belongs to another run. */
async function readCheckpoint(path: string, fingerprint: string): Promise<Checkpoint | undefined> {
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

async function removeCheckpoint(path: string): Promise<void> {
  await rm(path, { force: true })
  await removePartials(dirname(path), basename(path))
}

/** SHA-256 of everything that the exact result of a run depends on. */
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
