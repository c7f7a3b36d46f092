import { compilePattern } from '../../../core/pattern.ts'
import type { StrategyCall } from '../../gateway/contracts.ts'
import { askWhole } from '../answer-stream.ts'
import { saidBy, type WholeAnswer } from '../chat-answer.ts'
import { gather, type Mode, memberParameters, membersOf, quorumOf } from '../members.ts'

import { answerKey, tally } from '../normal-answer.ts'
import type { MajoritySettings } from '../settings.ts'

/** Kept for handing the answer over. */
const TIME_SHARE = 0.95

/**
 * The answer that most members gave; of answers that as many gave, the one of the earlier model. Members
 * that could not change it any more are given up.
 */
export function majority(settings: MajoritySettings): Mode {
  const pattern = settings.pattern === undefined ? undefined : compilePattern(settings.pattern)
  const parameters = memberParameters(settings)
  const count = (answers: readonly (WholeAnswer | undefined)[]) =>
    tally(answers.map((answer) => answer && answerKey(saidBy(answer), pattern)))
  return async (call: StrategyCall) => {
    const members = membersOf(call.plan.targets, settings)
    const more = Math.floor(members.length / 2) + 1
    const gathered = await gather(call, members, settings, TIME_SHARE, {
      ask: (target, limit) => askWhole(call, target, parameters, limit),
      enough: (answers) => count(answers).votes >= more,
    })
    const answers = quorumOf(gathered, settings.quorum ?? Math.ceil(members.length / 2))
    const { winner, votes } = count(gathered.answers)
    call.trail.notes.set('agreement', `${votes}/${members.length}`)
    // nobody said anything that counts: the first model's answer is as good as any
    return gathered.answers[winner] ?? answers[0]!
  }
}
