import { WeirError } from '../../models/errors.ts'
import type { Target } from '../gateway/plan.ts'
import type { StrategyCall } from '../gateway/strategy.ts'
import { wholeBody } from './answer-stream.ts'
import { type WholeAnswer, wholeOf } from './chat-answer.ts'
import type { Check } from './checks/check.ts'
import { checksFor, type Examined, runChecks } from './checks/run-checks.ts'
import type { TimeLimit } from './time-limit.ts'

/** Asks a target for a whole answer, its own parameters and then `parameters` laid over the body. */
export async function askWhole(
  call: StrategyCall,
  target: Target,
  parameters: Readonly<Record<string, unknown>>,
  { signal, attemptMs: withinMs }: TimeLimit,
): Promise<WholeAnswer> {
  const asked = { ...target, parameters: { ...target.parameters, ...parameters } }
  const body = wholeBody(call.request.body)
  return wholeOf(await call.send(asked, { body, signal, withinMs }))
}

/** Asks a target for an answer and checks it. An answer whose checks take too long has not passed them. */
export async function askChecked(
  call: StrategyCall,
  target: Target,
  all: readonly Check[],
  parameters: Readonly<Record<string, unknown>>,
  limit: TimeLimit,
): Promise<Examined> {
  const checks = checksFor(all, target)
  const asks = Object.assign({}, parameters, ...checks.map(({ asks }) => asks))
  const answer = await askWhole(call, target, asks, limit)
  const asked = { ...target, parameters: { ...target.parameters, ...asks } }
  const body = wholeBody(call.request.body)
  try {
    return await runChecks(answer, checks, { target: asked, body, call, limit })
  } catch (error) {
    if (call.signal.aborted || !(error instanceof WeirError)) throw error
    return { passed: false, answer }
  }
}

/** Several choices at once are no single answer that could be checked or voted on. */
export const wantsSeveral = ({ request }: StrategyCall): boolean =>
  typeof request.body.n === 'number' && request.body.n > 1
