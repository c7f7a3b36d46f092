import { WeirError } from '../../../core/errors.ts'
import { askChecked } from '../answer-stream.ts'
import type { ModelAsker } from '../ask-model.ts'
import { compileChecks } from '../checks.ts'
import { gather, type Mode, memberParameters, membersOf, quorumOf } from '../members.ts'

import type { FirstGoodSettings } from '../settings.ts'

/** Kept for handing the answer over. */
const TIME_SHARE = 0.95

/** The first answer that passes all checks, the others given up; where none does, the first model's. */
export function firstGood(settings: FirstGoodSettings, asker: ModelAsker): Mode {
  const checks = compileChecks(settings.checks, asker)
  const parameters = memberParameters(settings)
  return async (call) => {
    const members = membersOf(call.plan.targets, settings)
    const gathered = await gather(call, members, settings, TIME_SHARE, {
      ask: (target, limit) => askChecked(call, target, checks, parameters, limit),
      enough: (tried) => tried.some((one) => one?.passed),
    })
    const tried = quorumOf(gathered, 1)
    const good = tried.find(({ passed }) => passed)
    call.trail.notes.set('ended', good ? 'passed' : 'none_passed')
    if (!good && settings.best_so_far === false) {
      const failed = call.trail.checks.filter(({ passed }) => !passed)
      const names = new Set(failed.map(({ check }) => check))
      throw new WeirError('answer_unchecked', { checks: [...names] })
    }
    return (good ?? tried[0]!).answer
  }
}
