import { candidateThresholds } from '../candidates.ts'
import type { Method } from '../method.ts'
import { targetOf } from '../target.ts'

/** The threshold whose share of strong calls is nearest to the one asked for; of two as near, the cheaper. */
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
