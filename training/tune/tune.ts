import type { Dataset } from '../../data/dataset.ts'
import { type FitRouterOptions, fitHead, prepareRows } from '../fit-router.ts'
import { type Standing, standings } from '../one-standard-error.ts'
import type { Settings } from '../settings.ts'
import { encodeSplit } from '../splits.ts'
import { pairRows, winRateLosses } from '../trainers/pair-rows.ts'
import { loadTrainer } from '../trainers.ts'
import { nestValidation } from './nested-validation.ts'
import { type TunedFamily, tuneFamily } from './tune-family.ts'

export interface Tuning extends TunedFamily {
  /** `defaults` and `tuned` on the half of validation that tuned nothing; absent where the search was stopped */
  readonly comparison?: readonly Standing[]
}

/**
 * Tunes a family on half of the validation rows and compares what was found with the defaults on the other half:
 * the tuned settings are taken where their loss there is the less. Test and calibration rows are not touched.
 */
export async function tuneRouter(
  dataset: Dataset,
  options: FitRouterOptions,
  count: number,
): Promise<Tuning> {
  const nested = nestValidation(dataset)
  const { input } = await loadTrainer(options.router)
  const prepared = await prepareRows(nested.dataset, input, options)
  const tuned = await tuneFamily(nested.dataset, prepared, options, count)
  if (tuned.stopped || tuned.best === 0) return tuned
  const { checkpoint: _, onProgress: __, ...quiet } = options
  const compared = await encodeSplit(
    nested.dataset,
    'calibration',
    prepared.encoder.encoder,
    options.signal,
  )
  const lossesWith = async (hyperparameters: Settings): Promise<Float64Array> => {
    const { family, pair, weights, heldOut } = await fitHead(nested.dataset, prepared, {
      ...quiet,
      hyperparameters,
    })
    const { winRate } = family.forward(heldOut ?? weights, pair, compared.embeddings)
    return winRateLosses(winRate, pairRows(compared, { models: dataset.models, ...pair }))
  }
  const defaults = options.hyperparameters ?? {}
  const comparison = standings([
    { name: 'defaults', losses: await lossesWith(defaults) },
    { name: 'tuned', losses: await lossesWith(tuned.settings) },
  ])
  const better = comparison[1]!.loss < comparison[0]!.loss
  return {
    ...tuned,
    ...(better ? {} : { best: 0, settings: defaults }),
    comparison: comparison.map((standing) => ({
      ...standing,
      chosen: (standing.name === 'tuned') === better,
    })),
  }
}
