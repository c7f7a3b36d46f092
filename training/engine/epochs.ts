import { WeirError } from '../../models/errors.ts'
import type { Tensor } from '../../models/family.ts'
import type { EpochRecord, FitOptions, FitResult } from './engine.ts'

/** What an engine does for one run; the loop around it is the same for all. */
export interface EpochRunner {
  /** Trains one epoch (counted from 1); its mean loss, without the L2 terms. */
  train(epoch: number): Promise<number>
  /** Mean validation loss. */
  validate(): Promise<number>
  parameters(): Promise<Readonly<Record<string, Tensor>>>
}

/**
 * Trains until `patience` epochs bring no better validation loss, keeping the best parameters.
 *
 * @throws training_diverged where a loss is not finite; cancelled where the signal came before the
 *   first epoch ended (later it returns the best so far)
 */
export async function runEpochs(
  runner: EpochRunner,
  options: FitOptions,
): Promise<Omit<FitResult, 'backend'>> {
  const epochs: EpochRecord[] = []
  let best: { epoch: number; loss: number; parameters: FitResult['parameters'] } | undefined
  let stopped = false
  for (let epoch = 1; epoch <= options.epochs; epoch++) {
    if (options.signal?.aborted) {
      stopped = true
      break
    }
    const began = performance.now()
    const trainLoss = finite(await runner.train(epoch), epoch)
    const validationLoss = finite(await runner.validate(), epoch)
    const seconds = (performance.now() - began) / 1000
    epochs.push({ epoch, trainLoss, validationLoss, seconds })
    if (!best || validationLoss < best.loss) {
      best = { epoch, loss: validationLoss, parameters: await runner.parameters() }
    }
    options.onProgress?.({
      stage: 'training',
      done: epoch,
      total: options.epochs,
      note: `loss ${trainLoss.toFixed(4)}, validation ${validationLoss.toFixed(4)} (best ${best.loss.toFixed(4)} at ${best.epoch})`,
    })
    if (epoch - best.epoch >= options.patience) break
  }
  if (!best) throw new WeirError('cancelled', { signal: 'request' })
  return { parameters: best.parameters, epochs, bestEpoch: best.epoch, stopped }
}

function finite(loss: number, epoch: number): number {
  if (!Number.isFinite(loss)) throw new WeirError('training_diverged', { value: loss, epoch })
  return loss
}
