import { WeirError } from '../../../models/errors.ts'
import { compilePattern } from '../../policy/pattern.ts'
import { saidBy, type WholeAnswer, wholeOf } from '../chat-answer.ts'
import { answerKey } from '../normal-answer.ts'
import type { CheckSettings } from '../settings.ts'
import { tally } from '../vote.ts'
import type { Check, Checked } from './check.ts'

type Settings = Extract<CheckSettings, { kind: 'self_consistency' }>
const TEMPERATURE = 0.7

/**
 * Self-consistency (Wang et al. 2022, arXiv 2203.11171): the model is asked again, and the score is the
 * share of the samples that the largest group of like answers has. The answer that is there is the first
 * sample, so it is drawn at the same temperature; a sample that failed agrees with nobody.
 */
export function consistencyCheck(settings: Settings): Pick<Check, 'check' | 'asks'> {
  const { samples, threshold, temperature = TEMPERATURE } = settings
  const pattern = settings.pattern === undefined ? undefined : compilePattern(settings.pattern)
  return {
    asks: { temperature },
    async check(checked) {
      const others = await Promise.all(Array.from({ length: samples - 1 }, () => oneMore(checked)))
      const answers = [checked.answer, ...others]
      const { winner, votes } = tally(
        answers.map((answer) => answer && answerKey(saidBy(answer), pattern)),
      )
      const score = votes / samples
      const instead = winner > 0 ? answers[winner] : undefined
      return { score, passed: score >= threshold, ...(instead ? { instead } : {}) }
    },
  }
}

async function oneMore({ target, body, call, limit }: Checked): Promise<WholeAnswer | undefined> {
  try {
    const { signal, attemptMs: withinMs } = limit
    return wholeOf(await call.send(target, { body, signal, withinMs }))
  } catch (error) {
    if (limit.signal.aborted || !(error instanceof WeirError)) throw error
    return undefined
  }
}
