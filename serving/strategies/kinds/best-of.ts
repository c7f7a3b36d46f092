import { askWhole } from '../answer-stream.ts'
import { type ModelAsker, timeLimit } from '../ask-model.ts'
import { inWords, saidBy, saysNothing } from '../chat-answer.ts'
import { Judge } from '../judge.ts'
import { gather, type Mode, memberParameters, membersOf, quorumOf } from '../members.ts'

import { answerKey } from '../normal-answer.ts'
import type { BestOfSettings } from '../settings.ts'

/** Of the time that is left, what the members may take; then the judge. */
const MEMBERS_SHARE = 0.6
const JUDGE_SHARE = 0.9

/** The answer that a judge picks, where there is a choice; the first model's, where the judge is silent. */
export function bestOf(settings: BestOfSettings, asker: ModelAsker): Mode {
  const judge = new Judge(settings.judge, asker)
  const parameters = memberParameters(settings)
  return async (call) => {
    const { notes } = call.trail
    const members = membersOf(call.plan.targets, settings)
    const gathered = await gather(call, members, settings, MEMBERS_SHARE, {
      ask: (target, limit) => askWhole(call, target, parameters, limit),
      enough: () => false,
    })
    const answers = quorumOf(gathered, settings.quorum ?? 1)
    const saying = answers.filter((answer) => !saysNothing(saidBy(answer)))
    const first = saying[0] ?? answers[0]!
    notes.set('answers', `${answers.length}/${members.length}`)
    const said = saying.map(saidBy)
    if (new Set(said.map((one) => answerKey(one, undefined))).size < 2) {
      notes.set('judge', 'not_needed')
      return first
    }
    const limit = timeLimit(call.signal, JUDGE_SHARE * call.remainingMs())
    try {
      const verdict = await judge.pick(said.map(inWords), call, limit.signal)
      notes.set('judge', 'silence' in verdict ? verdict.silence : 'picked')
      return 'silence' in verdict ? first : saying[verdict.value]!
    } catch (error) {
      if (call.signal.aborted || !limit.signal.aborted) throw error
      notes.set('judge', 'judge_failed')
      return first
    } finally {
      limit.end()
    }
  }
}
