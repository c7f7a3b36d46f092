import { WeirError } from '../../../core/errors.ts'
import { meanInterval, sideOf } from '../../../core/stats/intervals.ts'
import { candidateThresholds } from '../candidates.ts'
import type { Method } from '../method.ts'
import { gainOf } from '../rows.ts'
import { allowedLoss } from '../target.ts'

/**
 * The smallest strong share that keeps the quality on the calibration rows themselves. This is an estimate:
 * such a threshold falls short on new prompts about half the time. For a confidence use learn-then-test.
 */
export const plugIn: Method = {
  name: 'plug-in',
  targets: ['quality', 'match', 'max-loss'],
  choose({ rows, target }) {
    const gain = gainOf(rows, target)
    const { threshold, strong, order } = candidateThresholds(rows.winRate, rows.weight)
    const gap = meanInterval(gain, rows.weight, 0.95)
    if (target.kind === 'quality' && sideOf(gap) !== 'above') {
      throw new WeirError('quality_gap_unclear', {
        gap: gap.value.toFixed(4),
        low: gap.low.toFixed(4),
        high: gap.high.toFixed(4),
        rows: gain.length,
      })
    }
    const allowed = allowedLoss(target, gap.value)
    const best = leastShare(gain, rows.weight, order, strong, allowed)
    return {
      threshold: threshold[best]!,
      promise: 'estimate',
      assumptions: [
        'an estimate, not a promise: about half of such thresholds fall short on new prompts',
      ],
    }
  },
}

/**
 * The last point, from all weak backwards, whose mean loss is within the allowed loss: the smallest share
 * that keeps it.
 */
function leastShare(
  gain: Float64Array,
  weight: Float64Array | undefined,
  order: Int32Array,
  strong: Int32Array,
  allowed: number,
): number {
  const n = gain.length
  const lossBelow = new Float64Array(n + 1)
  let total = 0
  for (let i = n - 1; i >= 0; i--) {
    const row = order[i]!
    const w = weight ? weight[row]! : 1
    total += w
    lossBelow[i] = lossBelow[i + 1]! + w * gain[row]!
  }
  for (let k = strong.length - 1; k > 0; k--) {
    if (lossBelow[strong[k]!]! / total <= allowed + 1e-12) return k
  }
  return 0
}
