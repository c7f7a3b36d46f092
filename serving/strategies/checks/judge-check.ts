import type { ModelAsker } from '../ask-model.ts'
import { inWords } from '../chat-answer.ts'
import { Judge } from '../judge.ts'
import type { CheckSettings } from '../settings.ts'
import type { Check } from './check.ts'

type Settings = Extract<CheckSettings, { kind: 'judge' }>

/** Another model's grade of the answer. A judge that is silent decides as `otherwise` says. */
export function judgeCheck(settings: Settings, asker: ModelAsker): Pick<Check, 'check'> {
  const { threshold, otherwise = 'fail' } = settings
  const judge = new Judge(settings.judge, asker)
  return {
    async check({ said, call, limit }) {
      const verdict = await judge.grade(inWords(said), call, limit.signal)
      if ('silence' in verdict) {
        return { score: null, passed: otherwise === 'pass', reason: verdict.silence }
      }
      return { score: verdict.value, passed: verdict.value >= threshold }
    },
  }
}
