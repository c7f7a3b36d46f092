import { candidateThresholds } from '../candidates.ts'
import type { Method } from '../method.ts'
import { targetOf } from '../target.ts'

/** The threshold whose strong share is nearest to the requested one; the cheaper of two that are equally near. */
export const quantile: Method = {
  name: 'quantile',
  targets: ['strong-share'],
  choose({ rows, target }) {
    const wanted = targetOf(target, 'strong-share').share
    const { threshold, share } = candidateThresholds(rows.winRate, rows.weight)
    let best = 0
    for (let k = 1; k < share.length; k++) {
      const gain = Math.abs(share[best]! - wanted) - Math.abs(share[k]! - wanted)
      if (gain > -1e-12) best = k
    }
    return { threshold: threshold[best]!, promise: 'estimate', assumptions: [] }
  },
}
