import { type Dataset, SPLITS } from '../../data/dataset/dataset.ts'
import { type FitRouterOptions, fitHead, prepareRows } from '../fit-router.ts'
import { pairRows, winRateLosses } from '../trainers/pair-rows.ts'
import { loadTrainer } from '../trainers/registry.ts'
import type { Settings } from '../trainers/settings.ts'
import { encodeSplit } from '../trainers/splits.ts'
import { type TunedFamily, tuneFamily } from './tune-family.ts'

export interface Tuning extends TunedFamily {
  /**
   * `defaults` and `tuned` on the half of validation that was not used for tuning; absent if the search was
   * stopped
   */
  readonly comparison?: readonly Standing[]
}

/**
 * Tunes a family on half of the validation rows and compares the result with the defaults on the other half:
 * the tuned settings are used if their loss there is lower. Test and calibration rows are not used.
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

const VALIDATION = SPLITS.indexOf('validation')
const COMPARISON = SPLITS.indexOf('calibration')
const ASIDE = SPLITS.indexOf('test')

/** A dataset whose validation rows are halved, so that no settings are compared on the rows they were tuned on. */
export interface NestedValidation {
  /** its validation split is the tuning half, its calibration split the comparing half */
  readonly dataset: Dataset
  /** prompts of the comparing half, ascending */
  readonly compared: readonly number[]
}

/** Every second validation row is in the comparing half; calibration rows are excluded with the test rows. */
export function nestValidation(dataset: Dataset): NestedValidation {
  let seen = 0
  const split = dataset.split.map((of) => {
    if (of === COMPARISON) return ASIDE
    if (of !== VALIDATION) return of
    return seen++ % 2 === 0 ? VALIDATION : COMPARISON
  })
  const compared = [...split.keys()].filter((row) => split[row] === COMPARISON)
  return { dataset: { ...dataset, split }, compared }
}

/** A contender's loss on each of the rows that all of them were compared on. */
export interface Contender {
  readonly name: string
  readonly losses: ArrayLike<number>
}

export interface Standing {
  readonly name: string
  readonly loss: number
  /** mean loss minus the best one's, and the standard error of that difference, both paired by row */
  readonly above: number
  readonly error: number
  readonly chosen: boolean
}

/**
 * The one-standard-error rule (Hastie, Tibshirani and Friedman 2009, sec. 7.10) with paired errors: of the
 * contenders, simplest first, the first whose mean loss is within one standard error of the lowest.
 */
export function standings(contenders: readonly Contender[]): Standing[] {
  const means = contenders.map(({ losses }) => mean(losses))
  const best = means.reduce((least, loss, i) => (loss < means[least]! ? i : least), 0)
  let found = false
  return contenders.map(({ name, losses }, i) => {
    const other = contenders[best]!.losses
    const differences = Float64Array.from(losses, (loss, row) => loss - other[row]!)
    const above = mean(differences)
    const variance = mean(differences.map((difference) => (difference - above) ** 2))
    const error = Math.sqrt(variance / Math.max(differences.length - 1, 1))
    const chosen = !found && above <= error
    found ||= chosen
    return { name, loss: means[i]!, above, error, chosen }
  })
}

function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum / Math.max(values.length, 1)
}
