import { WeirError } from '../core/errors.ts'
import { type Dataset, SPLITS } from '../data/dataset/dataset.ts'
import { weakSignalLines } from '../data/weak-outcomes.ts'

/**
 * The dataset with the scores of its weak signals on train and validation prompts, where a model's answer has no other score.
 * Calibration and test prompts keep to what was rated.
 *
 * @throws option_invalid if the logs have no signals, or none that ratings show to be reliable
 */
export function withWeakOutcomes(dataset: Dataset): Dataset {
  const { outcomes, manifest, models, split } = dataset
  const report = manifest.weak_signals
  if (!outcomes?.weak) {
    throw new WeirError('option_invalid', {
      option: '--weak-signals',
      expected:
        'decision logs with the lines that gateway.weak_signals writes, and enough feedback to measure how reliable they are',
      got: report ? weakSignalLines(report).join('\n') : 'no such lines',
    })
  }
  const learnt = [SPLITS.indexOf('train'), SPLITS.indexOf('validation')]
  const scores = outcomes.scores.map((score, at) =>
    Number.isNaN(score) && learnt.includes(split[Math.floor(at / models.length)]!)
      ? outcomes.weak![at]!
      : score,
  )
  return { ...dataset, outcomes: { ...outcomes, scores } }
}
