import type { Dataset } from '../../data/dataset.ts'
import { WeirError } from '../../models/errors.ts'
import { createRandom, deriveSeed } from '../../models/random.ts'
import { type FitRouterOptions, fitHead, type PreparedRows } from '../fit-router.ts'
import type { Settings } from '../settings.ts'
import { pairRows, winRateLoss } from '../trainers/pair-rows.ts'
import { loadTrainer } from '../trainers.ts'
import { planRungs, successiveHalving, type Trial } from './halving.ts'
import { partOfRows } from './part-of-rows.ts'
import { drawSettings, searchSpace } from './search.ts'

export interface TunedFamily {
  readonly family: string
  /** the first are the defaults; a loss a rung, the mean log-loss of the pair on the tuning rows */
  readonly trials: readonly Trial<Settings>[]
  /** the train rows' part at each rung */
  readonly fractions: readonly number[]
  readonly best: number
  /** the best trial's settings with those set by hand over them */
  readonly settings: Settings
  readonly stopped: boolean
}

/**
 * Looks for better hyperparameters of one family by successive halving: seeded draws from the family's own
 * search space, the defaults first, judged on the validation rows of `prepared` alone.
 *
 * @param prepared rows of a nested dataset: its validation split is the tuning half
 */
export async function tuneFamily(
  dataset: Dataset,
  prepared: PreparedRows,
  options: FitRouterOptions,
  count: number,
): Promise<TunedFamily> {
  const { router, signal, onProgress, seed, hyperparameters = {} } = options
  const trainer = await loadTrainer(router)
  const space = searchSpace(trainer.settings, hyperparameters)
  const random = createRandom(deriveSeed(seed, `tune ${router}`))
  const candidates: Settings[] = [{}, ...drawSettings(space, count - 1, random)]
  const rungs = planRungs(candidates.length)
  const total = rungs.reduce((sum, rung) => sum + rung.trials, 0)
  const parts = rungs.map(({ fraction }) =>
    partOfRows(prepared.train, fraction, deriveSeed(seed, 'tune rows')),
  )
  const { checkpoint: _, onProgress: __, ...quiet } = options
  let done = 0
  let least = Number.POSITIVE_INFINITY
  const result = await successiveHalving(
    candidates,
    async (settings, rung) => {
      const loss = await lossOf(
        dataset,
        { ...prepared, train: parts[rung]! },
        { ...quiet, hyperparameters: { ...settings, ...hyperparameters } },
      )
      if (rung === rungs.length - 1) least = Math.min(least, loss)
      const note = `log-loss ${loss.toFixed(4)}${least < Infinity ? ` (best ${least.toFixed(4)})` : ''}`
      onProgress?.({ stage: `tuning ${router}`, done: ++done, total, note })
      return loss
    },
    signal,
  )
  return {
    family: router,
    ...result,
    fractions: rungs.map(({ fraction }) => fraction),
    settings: { ...candidates[result.best], ...hyperparameters },
  }
}

/** NaN for settings that cannot be fitted, or that the signal cut short. */
async function lossOf(
  dataset: Dataset,
  prepared: PreparedRows,
  options: FitRouterOptions,
): Promise<number> {
  try {
    const { family, pair, weights, heldOut, validation } = await fitHead(dataset, prepared, options)
    const { winRate } = family.forward(heldOut ?? weights, pair, validation.embeddings)
    return winRateLoss(winRate, pairRows(validation, { models: dataset.models, ...pair }))
  } catch (error) {
    const unfit = error instanceof WeirError && UNFIT.includes(error.code)
    if (unfit || options.signal?.aborted) return Number.NaN
    throw error
  }
}

const UNFIT: readonly string[] = ['training_diverged', 'rows_too_few']
