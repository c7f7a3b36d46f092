import { WeirError } from '../../models/errors.ts'
import type { Tensor } from '../../models/family.ts'
import { readCheckpoint, removeCheckpoint, writeCheckpoint } from './checkpoint.ts'
import type { EpochRecord, FitOptions, FitResult } from './engine.ts'

/** What an engine does for one run; the loop around it is the same for all. */
export interface EpochRunner {
  /** Trains one epoch (counted from 1); its mean loss, without the L2 terms. */
  train(epoch: number): Promise<number>
  /** Mean validation loss. */
  validate(): Promise<number>
  parameters(): Promise<Readonly<Record<string, Tensor>>>
  /** Everything that `restore` needs to go on from here. */
  state(): Promise<Readonly<Record<string, Tensor>>>
  restore(state: Readonly<Record<string, Tensor>>): Promise<void>
}

/**
 * Trains until `patience` epochs bring no better validation loss, keeping the best parameters. With a
 * checkpoint it goes on where a killed run of the same fingerprint left off.
 *
 * @throws training_diverged where a loss is not finite; cancelled where the signal came before the
 *   first epoch ended (later it returns the best so far)
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
