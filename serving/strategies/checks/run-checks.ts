import type { Target } from '../../gateway/plan.ts'
import type { StrategyCall } from '../../gateway/strategy.ts'
import type { PassedBody } from '../../upstreams/upstream.ts'
import { saidBy, saysNothing, type WholeAnswer } from '../chat-answer.ts'
import type { TimeLimit } from '../time-limit.ts'
import type { Check } from './check.ts'

export interface Examination {
  readonly target: Target
  readonly body: PassedBody
  readonly call: StrategyCall
  readonly limit: TimeLimit
}

export interface Examined {
  readonly passed: boolean
  /** the one to go on with: a vote may have put another in the first one's place */
  readonly answer: WholeAnswer
}

/** The checks that are for answers of a model. */
export const checksFor = (checks: readonly Check[], { model }: Target): Check[] =>
  checks.filter(({ models }) => !models || models.includes(model))

/** Runs checks in their order, up to the first that fails. An answer that says nothing passes none. */
export async function runChecks(
  first: WholeAnswer,
  checks: readonly Check[],
  { target, body, call, limit }: Examination,
): Promise<Examined> {
  const { trail } = call
  const { model } = target
  let answer = first
  if (saysNothing(saidBy(answer))) {
    trail.checks.push({ check: 'empty', model, score: 0, passed: false })
    return { passed: false, answer }
  }
  for (const [i, check] of checks.entries()) {
    const { name, threshold } = check
    const result = await check.check({
      answer,
      said: saidBy(answer),
      target,
      body,
      call,
      limit,
    })
    const { score, passed, instead, reason = 'none' } = result
    const stated = threshold === undefined ? {} : { threshold }
    trail.checks.push({ check: name, model, score, ...stated, passed })
    trail.notes.set(name, score === null ? reason : Number(score.toFixed(4)))
    if (!passed) return { passed, answer: instead ?? answer }
    if (instead) {
      answer = instead
      // what came before was said of another answer
      const again = checks.slice(0, i).filter((before) => before.asks?.temperature === undefined)
      if (!(await passesAll(answer, again, { target, body, call, limit }))) {
        trail.notes.set(name, 'majority_failed')
        return { passed: false, answer }
      }
    }
  }
  return { passed: true, answer }
}

async function passesAll(
  answer: WholeAnswer,
  checks: readonly Check[],
  examination: Examination,
): Promise<boolean> {
  const said = saidBy(answer)
  for (const check of checks) {
    if (!(await check.check({ answer, said, ...examination })).passed) return false
  }
  return true
}
