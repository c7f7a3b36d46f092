import { wordOrNumber } from '../settings.ts'
import type { Target } from './targets.ts'

/** What right answers (or votes for the strong model) count against the others. */
export type ClassWeight = 'none' | 'balanced' | number

export const CLASS_WEIGHT = wordOrNumber(
  ['none', 'balanced'],
  'what a success (or a win of the strong model) counts against a failure; balanced: both halves count the same. Anything but none needs recalibration',
)

/**
 * The same rows with the two parts of their cross-entropy, -y log p and -(1 - y) log(1 - p), counted c1 and
 * c0 times. That is a row of weight w (c1 y + c0 (1 - y)) with label c1 y over that sum, so a tie stays between
 * the classes. A number c means (c, 1); `balanced` is n / (2 n_class), as in scikit-learn.
 */
export function withClassWeight(target: Target, classWeight: ClassWeight): Target {
  if (classWeight === 'none') return target
  const { labels, weights } = target
  let [positive, negative] = [0, 0]
  for (const [i, label] of labels.entries()) {
    positive += weights[i]! * label
    negative += weights[i]! * (1 - label)
  }
  // of one class alone there is nothing to balance
  if (classWeight === 'balanced' && !(positive > 0 && negative > 0)) return target
  const half = (positive + negative) / 2
  const [c1, c0] =
    classWeight === 'balanced' ? [half / positive, half / negative] : [classWeight, 1]
  const factors = labels.map((label) => c1 * label + c0 * (1 - label))
  return {
    rows: target.rows,
    labels: labels.map((label, i) => (c1 * label) / factors[i]!),
    weights: weights.map((weight, i) => weight * factors[i]!),
  }
}
