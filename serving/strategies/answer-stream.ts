import { WeirError } from '../../core/errors.ts'
import type { Answer, StrategyCall, Target } from '../gateway/contracts.ts'

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
  const { stream, stream_options: options } = body
  const answer = body.logprobs === true ? whole : withoutLogprobs(whole)
  if (stream !== true) return answer
  const counts = (options as { include_usage?: unknown } | undefined)?.include_usage === true
  const { usage } = answer.answer
  return {
    ...answer,
    answer: {
      kind: 'stream',
      fromWhole: true,
      chunks: events(answer.answer.body, counts),
      usage: () => usage,
      cancel() {},
    },
  }
}

function withoutLogprobs(whole: WholeAnswer): WholeAnswer {
  const { body } = whole.answer
  const choices = (body.choices ?? []) as readonly Choice[]
  if (!choices.some(({ logprobs }) => logprobs)) return whole
  const without = { ...body, choices: choices.map((choice) => ({ ...choice, logprobs: null })) }
  return { ...whole, answer: { ...whole.answer, body: without, text: undefined } }
}

interface Choice {
  readonly index?: number
  readonly message?: Readonly<Record<string, unknown>>
  readonly finish_reason?: unknown
  readonly logprobs?: unknown
}

/**
 * The events that OpenAI would have sent: the role, the content, the finish reason, and the counts if
 * requested.
 */
async function* events(
  body: Readonly<Record<string, unknown>>,
  counts: boolean,
): AsyncGenerator<string> {
  const { choices, usage, object: _, ...head } = body
  const event = (its: readonly object[], more: object = counts ? { usage: null } : {}): string =>
    `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices: its, ...more })}\n\n`
  for (const [i, choice] of ((choices ?? []) as readonly Choice[]).entries()) {
    const { index = i, message = {}, finish_reason: reason = 'stop', logprobs = null } = choice
    const { role = 'assistant', tool_calls: calls, ...said } = message
    const one = (delta: object, its: unknown = null, finish: unknown = null): string =>
      event([{ index, delta, logprobs: its, finish_reason: finish }])
    yield one({ role, content: '' })
    const delta = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== null))
    if (Object.keys(delta).length > 0) yield one(delta, logprobs)
    if (Array.isArray(calls)) {
      yield one({ tool_calls: calls.map((call, nth) => ({ index: nth, ...call })) })
    }
    yield one({}, null, reason)
  }
  if (counts) yield event([], { usage: usage ?? null })
}

/** Asks a target for a whole answer, with its parameters and then `parameters` merged over the body. */
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
