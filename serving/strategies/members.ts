import { WeirError } from '../../core/errors.ts'
import type { StrategyCall, Target } from '../gateway/contracts.ts'

import { type TimeLimit, timeLimit } from './ask-model.ts'
import type { WholeAnswer } from './chat-answer.ts'

/** A way of making one answer of several. @throws UpstreamError, answers_too_few, answer_unchecked, the signal's reason */
export type Mode = (call: StrategyCall) => Promise<WholeAnswer>

export interface MemberSettings {
  readonly samples?: number
  readonly temperature?: number
  readonly timeout_ms?: number
}

/** What came of the members, in the order of the targets; a sample each. */
export interface Gathered<T> {
  /** undefined where it failed, was late, or was given up */
  readonly answers: readonly (T | undefined)[]
  /** of the first that failed by itself */
  readonly failure: WeirError | undefined
}

/** Samples of each target: a target after the other, so that earlier ones are nearer to the front. */
export const membersOf = (
  targets: readonly Target[],
  { samples = 1 }: MemberSettings,
): readonly Target[] => targets.flatMap((target) => new Array<Target>(samples).fill(target))

/** What a member's body has beside the request's. */
export const memberParameters = ({ temperature }: MemberSettings): Record<string, unknown> =>
  temperature === undefined ? {} : { temperature }

export interface GatherOptions<T> {
  ask(target: Target, limit: TimeLimit): Promise<T>
  /** whether what there is decides; called once for each answer that comes */
  enough(answers: readonly (T | undefined)[]): boolean
}

/**
 * Asks all members at once, until all have answered, `enough` says so, or their time is up; then nothing is
 * under way any more.
 *
 * @param shareOfTime of what is left of the deadline; the rest is for what follows
 * @throws where the request itself has ended, or at a bug
 */
export async function gather<T>(
  call: StrategyCall,
  members: readonly Target[],
  { timeout_ms: timeout = Number.POSITIVE_INFINITY }: MemberSettings,
  shareOfTime: number,
  { ask, enough }: GatherOptions<T>,
): Promise<Gathered<T>> {
  const limit = timeLimit(call.signal, Math.min(timeout, shareOfTime * call.remainingMs()))
  const answers = new Array<T | undefined>(members.length).fill(undefined)
  let failure: WeirError | undefined
  let bug: unknown
  let decided = false
  const running = members.map(async (target, i) => {
    try {
      const answer = await ask(target, limit)
      // one that comes after the decision changes nothing
      if (decided) return
      answers[i] = answer
      decided = enough(answers)
      if (decided) limit.abort()
    } catch (error) {
      if (!(error instanceof WeirError)) bug ??= error
      else if (!limit.signal.aborted) failure ??= error
    }
  })
  await Promise.all(running)
  limit.end()
  if (bug !== undefined) throw bug
  if (call.signal.aborted) throw call.signal.reason
  return { answers, failure }
}

/** The answers there are. @throws the failure where there is none, answers_too_few where there are too few */
export function quorumOf<T>({ answers, failure }: Gathered<T>, quorum: number): T[] {
  const there = answers.filter((answer) => answer !== undefined)
  if (there.length === 0 && failure) throw failure
  const expected = Math.min(quorum, answers.length)
  if (there.length >= Math.max(1, expected)) return there
  throw new WeirError(
    'answers_too_few',
    { expected: Math.max(1, expected), members: answers.length, got: there.length },
    { cause: failure },
  )
}
