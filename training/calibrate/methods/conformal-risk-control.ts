import { WeirError } from '../../../core/errors.ts'
import { candidateThresholds } from '../candidates.ts'
import { refuseHarm } from '../losses.ts'
import type { Method } from '../method.ts'
import { gainOf } from '../rows.ts'
import { roundUp } from '../shortage.ts'
import { describeTarget, targetOf } from '../target.ts'
import { assumptions } from './learn-then-test.ts'

/**
 * Conformal risk control (Angelopoulos et al. 2024, arXiv 2208.02814): the smallest strong share whose harm,
 * with one worst-case row added, is within the target. It bounds the expectation of a monotone loss over
 * calibrations and not how often a single calibration is worse, so it accepts no confidence.
 */
export const conformalRiskControl: Method = {
  name: 'conformal-risk-control',
  targets: ['max-harm'],
  choose({ rows, target }) {
    const { harm: limit, confidence } = targetOf(target, 'max-harm')
    if (confidence !== undefined) {
      throw new WeirError('option_invalid', {
        option: '--method conformal-risk-control',
        expected: 'no --confidence (it bounds an expectation)',
        got: confidence,
      })
    }
    refuseHarm(rows, target)
    const gain = gainOf(rows, target)
    const { weight } = rows
    const { threshold, strong, order } = candidateThresholds(rows.winRate, weight)
    let total = 0
    let most = 0
    for (let i = 0; i < gain.length; i++) {
      const w = weight ? weight[i]! : 1
      total += w
      most = Math.max(most, w)
    }
    const allowed = limit * (total + most) - most
    let taken = -1
    let harm = 0
    let row = gain.length
    for (let k = 0; k < threshold.length; k++) {
      for (; row > strong[k]!; row--) {
        const index = order[row - 1]!
        harm += (weight ? weight[index]! : 1) * Math.max(0, gain[index]!)
      }
      if (harm > allowed + 1e-12) break
      taken = k
    }
    if (taken < 1) {
      throw new WeirError('calibration_data_short', {
        target: describeTarget(target),
        rows: gain.length,
        more: roundUp(Math.max(1 / limit - gain.length, gain.length / 4)),
      })
    }
    return {
      threshold: threshold[taken]!,
      promise: 'expectation',
      bound: { quantity: 'harm', value: limit },
      assumptions: assumptions(rows),
    }
  },
}
