import { WeirError } from '../core/errors.ts'
import { type Dataset, SPLITS } from '../data/dataset/dataset.ts'

/**
 * The votes that train and validate, each counted as its judge is: `weights` by a part of the judge's name, the
 * longest part that fits; 1 for any other judge, and for votes that name none. Votes on calibration and test
 * rows keep the log's own weights, so that figures of different judge weights can be compared.
 *
 * @throws option_invalid where no judge of the log has such a name, or all that train would count nothing
 */
export function withJudgeWeights(dataset: Dataset, weights: ReadonlyMap<string, number>): Dataset {
  if (weights.size === 0) return dataset
  const { preferences, manifest } = dataset
  const parts = [...weights.keys()].toSorted((a, b) => b.length - a.length)
  for (const part of parts) {
    if (manifest.judges.some((judge) => judge.includes(part))) continue
    const expected = `part of a judge’s name in the log (${manifest.judges.join(', ') || 'none is named'})`
    throw new WeirError('option_invalid', { option: '--judge-weight', expected, got: part })
  }
  if (!preferences) return dataset
  const factor = manifest.judges.map((judge) => {
    const part = parts.find((one) => judge.includes(one))
    return part === undefined ? 1 : weights.get(part)!
  })
  const learnt = [SPLITS.indexOf('train'), SPLITS.indexOf('validation')]
  const counted = preferences.weight.map((weight, i) =>
    learnt.includes(dataset.split[preferences.prompt[i]!]!)
      ? weight * (factor[preferences.judge[i]!] ?? 1)
      : weight,
  )
  const some = counted.some(
    (weight, i) => weight > 0 && dataset.split[preferences.prompt[i]!] === SPLITS.indexOf('train'),
  )
  if (!some && !dataset.outcomes) {
    const expected = 'a weight above 0 for a judge of some train row'
    throw new WeirError('option_invalid', { option: '--judge-weight', expected, got: 0 })
  }
  return { ...dataset, preferences: { ...preferences, weight: counted } }
}
