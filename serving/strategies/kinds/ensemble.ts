import type { Strategy } from '../../gateway/contracts.ts'
import { asAsked, wantsSeveral } from '../answer-stream.ts'

import { type Mode, membersOf } from '../members.ts'

import type { EnsembleSettings } from '../settings.ts'

/** Several models, or several samples of one, asked at once; their mode makes one answer of them. */
export function createEnsemble(compile: (settings: EnsembleSettings) => Mode): Strategy {
  return {
    kind: 'ensemble',
    async run(call) {
      const settings = call.plan.strategy.settings as EnsembleSettings
      const { targets } = call.plan
      const { notes } = call.trail
      notes.set('mode', settings.mode)
      if (wantsSeveral(call)) {
        notes.set('ended', 'several_choices')
        return call.sendFirst(targets)
      }
      // one alone is neither voted on nor compared, and may stream
      if (settings.mode !== 'first_good' && membersOf(targets, settings).length === 1) {
        return call.sendFirst(targets)
      }
      return asAsked(await compile(settings)(call), call.request.body)
    },
  }
}
