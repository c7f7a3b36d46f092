import Type from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import type { Answer, Strategy, StrategyCall, Target } from '../../gateway/contracts.ts'

import { asAsked, askChecked, wantsSeveral } from '../answer-stream.ts'
import { timeLimit } from '../ask-model.ts'
import type { WholeAnswer } from '../chat-answer.ts'
import { type Check, CheckList, checkListFaults, compileChecks, type Examined } from '../checks.ts'
import { closed, fits, Milliseconds, perSettings, type StrategyKind } from '../settings.ts'

/** Weak first; an answer that passes all checks is returned, otherwise the next model is asked. */
const CascadeSettings = Type.Object(
  {
    kind: Type.Literal('cascade'),
    /**
     * run in this order, up to the first that fails: put cheap ones first. The last model's answer is not
     * checked
     */
    checks: CheckList,
    /**
     * longest time for one model and the checks of its answer, in addition to the limit of 60% of the time
     * left
     */
    level_timeout_ms: Type.Optional(Milliseconds),
    /** least time for which another model is started (default 500) */
    reserve_ms: Type.Optional(Type.Number({ minimum: 0 })),
    /**
     * an answer that passed no check may be returned if the better models fail or time runs out (default
     * true)
     */
    best_so_far: Type.Optional(Type.Boolean()),
  },
  closed,
)
export type CascadeSettings = Type.Static<typeof CascadeSettings>

/** Share of the remaining time that a model may take if another could follow it. */
const LEVEL_SHARE = 0.6
const RESERVE_MS = 500
/**
 * Time kept for returning an answer before the deadline: this much, but at most this share of the time left.
 */
const HANDOVER_MS = 50
const HANDOVER_SHARE = 0.1
/** With less than this share of its time left, the last model failed for lack of time. */
const LATE_SHARE = 0.2

/** How a cascade ended, for its header. */
type Ending = 'passed' | 'last' | 'deadline' | 'failed' | 'several_choices'

/**
 * Weak first: returns the first answer that passes its checks. The last model's is not checked and may
 * stream. If the better models fail or time runs out, the last answer that came is returned.
 */
export const cascade: StrategyKind = {
  kind: 'cascade',
  check(settings, find) {
    if (fits(CascadeSettings, settings, [], find)) {
      checkListFaults((settings as unknown as CascadeSettings).checks, find)
    }
  },
  create: (asker) => createCascade(perSettings(({ checks }) => compileChecks(checks, asker))),
}

function createCascade(compile: (settings: CascadeSettings) => readonly Check[]): Strategy {
  return {
    kind: 'cascade',
    async run(call) {
      const settings = call.plan.strategy.settings as CascadeSettings
      const { targets } = call.plan
      const { notes } = call.trail
      const end = (ending: Ending, level: number, answer: Answer): Answer => {
        notes.set('level', level + 1)
        notes.set('ended', ending)
        return answer
      }
      const last = targets.length - 1
      if (wantsSeveral(call)) {
        const answer = await call.sendFirst(targets.toReversed(), { passes: true })
        return end('several_choices', last, answer)
      }
      const checks = compile(settings)
      const reserve = settings.reserve_ms ?? RESERVE_MS
      const standIns = settings.best_so_far ?? true
      let best: { readonly answer: WholeAnswer; readonly level: number } | undefined
      const standIn = (ending: Ending): Answer | undefined =>
        best && standIns
          ? end(ending, best.level, asAsked(best.answer, call.request.body))
          : undefined

      for (const [level, target] of targets.slice(0, last).entries()) {
        const late = call.remainingMs() < reserve ? standIn('deadline') : undefined
        if (late) return late
        const tried = await tryLevel(call, target, checks, settings)
        if (tried?.passed) return end('passed', level, asAsked(tried.answer, call.request.body))
        if (tried) best = { answer: tried.answer, level }
      }
      const left = call.remainingMs()
      const late = left < reserve ? standIn('deadline') : undefined
      if (late) return late
      const handover = best && standIns ? Math.min(HANDOVER_MS, HANDOVER_SHARE * left) : 0
      const limit = timeLimit(call.signal, left - handover)
      const { signal, attemptMs: withinMs } = limit
      try {
        return end('last', last, await call.send(targets[last]!, { signal, withinMs }))
      } catch (error) {
        if (hasGone(call) || !(error instanceof WeirError)) throw error
        const instead = standIn(call.remainingMs() < LATE_SHARE * left ? 'deadline' : 'failed')
        if (!instead) throw error
        return instead
      } finally {
        limit.end()
      }
    },
  }
}

/** The client has disconnected; after the deadline an answer would still be used. */
function hasGone({ signal }: StrategyCall): boolean {
  const { reason } = signal
  return signal.aborted && !(reason instanceof WeirError && reason.code === 'gateway_deadline')
}

/** Asks one model and checks its answer, within their share of the time; undefined if it failed. */
async function tryLevel(
  call: StrategyCall,
  target: Target,
  checks: readonly Check[],
  settings: CascadeSettings,
): Promise<Examined | undefined> {
  const share = LEVEL_SHARE * call.remainingMs()
  const limit = timeLimit(call.signal, Math.min(settings.level_timeout_ms ?? share, share))
  try {
    return await askChecked(call, target, checks, {}, limit)
  } catch (error) {
    if (call.signal.aborted || !(error instanceof WeirError)) throw error
    call.trail.notes.set('failed', error.code)
    return undefined
  } finally {
    limit.end()
  }
}
