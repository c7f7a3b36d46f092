import { WeirError } from '../core/errors.ts'
import { type Dataset, SPLITS } from '../data/dataset/dataset.ts'

/**
 * The train and validation votes, weighted by their judges. `weights` maps a part of a judge's name to a
 * weight; the longest matching part wins, and any other judge, or a vote without a judge, gets 1. Votes on
 * calibration and test rows keep the log's weights, so that figures under different judge weights can be
 * compared.
 *
 * @throws option_invalid if no judge of the log has such a name, or if all train votes would have weight 0
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
    const expected = 'a weight above 0 for a judge of at least one train row'
    throw new WeirError('option_invalid', { option: '--judge-weight', expected, got: 0 })
  }
  return { ...dataset, preferences: { ...preferences, weight: counted } }
}
