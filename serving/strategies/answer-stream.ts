import { WeirError } from '../../core/errors.ts'
import type { Answer, StrategyCall, Target } from '../gateway/contracts.ts'

import { editJson } from '../upstreams/body-text.ts'
import { asksForUsage } from '../upstreams/dialect.ts'
import { chatEvents } from '../upstreams/other-framing.ts'
import type { ChatBody, PassedBody } from '../upstreams/upstream.ts'
import type { TimeLimit } from './ask-model.ts'
import { type WholeAnswer, wholeOf } from './chat-answer.ts'
import { type Check, checksFor, type Examined, runChecks } from './checks.ts'

/** The request's body with streaming off: checks need the whole answer. */
export function wholeBody(body: ChatBody): PassedBody & ChatBody {
  const { stream: _, stream_options: __, ...rest } = body
  return rest as PassedBody & ChatBody
}

/**
 * Returns a whole answer as the client asked for it: unchanged, or as a stream; log-probabilities only if
 * requested.
 */
export function asAsked(whole: WholeAnswer, body: ChatBody): Answer {
  const { stream } = body
  const answer = body.logprobs === true ? whole : withoutLogprobs(whole)
  if (stream !== true) return answer
  const counts = asksForUsage(body)
  const { usage } = answer.answer
  return {
    ...answer,
    answer: {
      kind: 'stream',
      fromWhole: true,
      chunks: eventsOf(answer.answer.body, counts),
      usage: () => usage,
      cancel() {},
    },
  }
}

async function* eventsOf(
  body: Readonly<Record<string, unknown>>,
  counts: boolean,
): AsyncGenerator<string> {
  yield* chatEvents(body, counts)
}

function withoutLogprobs(whole: WholeAnswer): WholeAnswer {
  const { body } = whole.answer
  const choices = (body.choices ?? []) as readonly Choice[]
  if (!choices.some(({ logprobs }) => logprobs)) return whole
  const without = { ...body, choices: choices.map((choice) => ({ ...choice, logprobs: null })) }
  return { ...whole, answer: { ...whole.answer, body: without, text: undefined } }
}

interface Choice {
  readonly logprobs?: unknown
}

/** Asks a target for a whole answer, with its parameters and then `parameters` merged over the body. */
export async function askWhole(
  call: StrategyCall,
  target: Target,
  parameters: Readonly<Record<string, unknown>>,
  { signal, attemptMs: withinMs }: TimeLimit,
): Promise<WholeAnswer> {
  const asked = { ...target, parameters: { ...target.parameters, ...parameters } }
  const { body: its, text: given } = call.request
  const text = given && editJson(given, { stream: null, stream_options: null })
  return wholeOf(await call.send(asked, { body: wholeBody(its), text, signal, withinMs }))
}

/** Asks a target for an answer and checks it. If the checks take too long, the answer has not passed them. */
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

/** A request for several choices has no single answer that could be checked or voted on. */
export const wantsSeveral = ({ request }: StrategyCall): boolean =>
  typeof request.body.n === 'number' && request.body.n > 1
