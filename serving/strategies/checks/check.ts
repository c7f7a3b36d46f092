import type { Target } from '../../gateway/plan.ts'
import type { StrategyCall } from '../../gateway/strategy.ts'
import type { PassedBody } from '../../upstreams/upstream.ts'
import type { Said, WholeAnswer } from '../chat-answer.ts'
import type { TimeLimit } from '../time-limit.ts'

/** An answer that is looked at, and how to ask for more. */
export interface Checked {
  readonly answer: WholeAnswer
  readonly said: Said
  readonly target: Target
  /** as the answer was asked for */
  readonly body: PassedBody
  readonly call: StrategyCall
  /** of the answer and its checks together */
  readonly limit: TimeLimit
}

export interface CheckResult {
  /** in [0, 1]; null where it could not be taken */
  readonly score: number | null
  readonly passed: boolean
  /** why there is no score, in a word */
  readonly reason?: string
  /** an answer to go on with instead: the majority's */
  readonly instead?: WholeAnswer
}

/** One way to tell whether an answer will do. */
export interface Check {
  readonly name: string
  /** models whose answers it is for; all, where absent */
  readonly models: readonly string[] | undefined
  /** least score that passes; undefined where it only says yes or no */
  readonly threshold: number | undefined
  /** what the body must ask for, so that the answer can be checked */
  readonly asks?: Readonly<Record<string, unknown>>
  /** @throws where the signal is aborted */
  check(checked: Checked): CheckResult | Promise<CheckResult>
}

export const yesOrNo = (passed: boolean): CheckResult => ({ score: passed ? 1 : 0, passed })
