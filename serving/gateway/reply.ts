import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { WeirError } from '../../core/errors.ts'
import { type ClientBody, ClientStream, clientAnswer } from '../conversation/client-api.ts'
import { editJson } from '../upstreams/body-text.ts'
import type { CompleteAnswer, LargeAnswer, StreamAnswer } from '../upstreams/upstream.ts'
import type { Answer, GatewayRequest, RefusePlan, StepVerdict, Trail } from './contracts.ts'
import { errorEvent, headerText } from './error-body.ts'
import type { Outcome } from './gateway.ts'
import { sessionKey } from './sessions.ts'

/**
 * Writes the result of a request, bypassing fastify's reply, whose headers and hooks cost more than our own
 * part of the work. Resolves when the last byte was taken or cannot be sent.
 */
export async function sendOutcome(reply: FastifyReply, outcome: Outcome): Promise<void> {
  const { answer, plan, exchange } = outcome
  try {
    const headers = outcomeHeaders(outcome)
    if (answer?.answer.kind === 'stream') {
      await sendStream(reply, headers, outcome, answer.answer)
    } else if (answer?.answer.kind === 'large') {
      await sendLarge(reply, headers, outcome, answer.answer)
    } else if (plan.kind === 'refuse' && exchange.request.body.stream) {
      await sendStream(reply, headers, outcome, refusalChunks(plan, exchange.request))
    } else {
      const { text, body } = wholeOf(outcome, answer?.answer)
      sendWhole(reply, headers, withCost(text ?? JSON.stringify(body), body, exchange))
      outcome.finish(200)
    }
  } catch (error) {
    if (answer && answer.answer.kind !== 'complete') answer.answer.cancel()
    outcome.finish(500, 'internal')
    throw error
  }
}

/** A whole answer, or a refusal that is displayed as one, in the client's API. */
function wholeOf(
  { answer, plan, exchange: { request } }: Outcome,
  given: CompleteAnswer | undefined,
): Pick<CompleteAnswer, 'text' | 'body'> {
  const refusal = plan.kind === 'refuse' ? refusalAnswer(plan, request) : {}
  const { text, body, usage, native } = given ?? { text: undefined, body: refusal }
  const { client } = request
  if (!client) return { text, body }
  if (!native) {
    const written = clientAnswer(client, body, usage ?? NO_TOKENS, seconds(request))
    return { text: undefined, body: written }
  }
  const rewrite = answer && storedIds(answer, request)
  return { text: rewrite ? rewrite(text ?? JSON.stringify(body)) : text, body }
}

const NO_TOKENS = { inputTokens: 0, outputTokens: 0 }
const seconds = ({ time }: GatewayRequest): number => Math.floor(time / 1000)

/** Names who keeps the answer in its id, where the client asked a router and the upstream may keep it. */
function storedIds(
  { target, upstream }: Answer,
  request: GatewayRequest,
): ((text: string) => string) | undefined {
  const { client, body, pinned, caller, storedIds: ids } = request
  const routed = pinned !== undefined || body.model !== target.model
  if (client?.api !== 'responses' || !routed || client.body.store === false) return undefined
  const session = sessionKey(request)
  return ids?.rewriter({ model: target.model, upstream, session }, caller.name)
}

/** The chunks of a stream in the client's API, with its last events. */
async function* clientChunks(
  stream: StreamAnswer,
  { answer, exchange: { request } }: Outcome,
  client: ClientBody,
): AsyncGenerator<string> {
  if (stream.native) {
    const rewrite = answer && storedIds(answer, request)
    for await (const chunk of stream.chunks) yield rewrite ? rewrite(chunk) : chunk
    return
  }
  const written = new ClientStream(client, seconds(request))
  for await (const chunk of stream.chunks) {
    const text = written.write(chunk)
    if (text !== '') yield text
  }
  yield written.end(stream.usage() ?? NO_TOKENS)
}

function sendWhole(reply: FastifyReply, headers: string[], text: string): void {
  const bytes = Buffer.byteLength(text)
  headers.push('content-type', 'application/json; charset=utf-8', 'content-length', String(bytes))
  reply.hijack()
  reply.raw.writeHead(200, headers)
  // if every character is one byte, nothing needs encoding, and head and body are written as one
  reply.raw.end(text, bytes === text.length ? 'latin1' : 'utf8')
}

async function sendStream(
  reply: FastifyReply,
  headers: string[],
  outcome: Outcome,
  stream: StreamAnswer,
): Promise<void> {
  headers.push('content-type', 'text/event-stream; charset=utf-8')
  // so that proxies forward each token immediately
  headers.push('x-accel-buffering', 'no')
  const { raw } = reply
  const sent = beginParts(reply, headers)
  const { exchange } = outcome
  let code: string | undefined
  try {
    const { client } = exchange.request
    await sendParts(raw, client ? clientChunks(stream, outcome, client) : stream.chunks)
    if (exchange.request.hints.include_cost && !client) raw.write(costEvent(exchange, stream))
    sent.tellCost(exchange)
    raw.end(exchange.endpoint === 'chat' ? 'data: [DONE]\n\n' : undefined)
  } catch (error) {
    const known = error instanceof WeirError ? error : gone(error)
    code = known.code
    // no [DONE]: the answer is incomplete, and clients throw on an event with an error
    raw.end(errorEvent(known, exchange.request.client?.api))
  } finally {
    stream.cancel()
    outcome.finish(200, code)
  }
}

/** Sends a whole answer while it comes. One that breaks leaves the response without its end. */
async function sendLarge(
  reply: FastifyReply,
  headers: string[],
  outcome: Outcome,
  answer: LargeAnswer,
): Promise<void> {
  headers.push('content-type', 'application/json; charset=utf-8')
  const { raw } = reply
  const sent = beginParts(reply, headers)
  let code: string | undefined
  try {
    await sendParts(raw, answer.chunks)
    sent.tellCost(outcome.exchange)
    raw.end()
  } catch (error) {
    code = (error instanceof WeirError ? error : gone(error)).code
    raw.destroy()
  } finally {
    answer.cancel()
    outcome.finish(200, code)
  }
}

/** Sends the head of an answer whose cost is only known when it ends, and is told in a trailer then. */
function beginParts(
  reply: FastifyReply,
  headers: string[],
): { tellCost(exchange: Outcome['exchange']): void } {
  reply.hijack()
  const { raw } = reply
  // trailers need chunks, which HTTP/1.0 does not have
  const trailing = raw.req.httpVersionMinor > 0
  if (trailing) headers.push('trailer', COST_HEADER)
  raw.writeHead(200, headers)
  return {
    tellCost({ costs: { costUsd } }) {
      if (trailing && costUsd !== undefined) raw.addTrailers([[COST_HEADER, costUsd.toFixed(8)]])
    },
  }
}

/** Sends the parts of an answer at the client's pace. @throws cancelled, and what the parts throw */
async function sendParts(
  raw: ServerResponse,
  chunks: AsyncIterable<string | Buffer>,
): Promise<void> {
  for await (const chunk of chunks) {
    if (raw.destroyed) throw gone()
    if (!raw.write(chunk)) await drained(raw)
  }
}

const COST_HEADER = 'x-weir-cost-usd'

/** The text of a whole answer, with its cost beside its token counts if the client asked for it. */
function withCost(text: string, body: unknown, { request, costs }: Outcome['exchange']): string {
  if (!request.hints.include_cost) return text
  const { usage } = (body ?? {}) as { usage?: object | null }
  const told = { ...usage, cost_usd: costs.costUsd ?? null }
  const edited = editJson(text, { usage: JSON.stringify(told) })
  return edited ?? JSON.stringify({ ...(body as object), usage: told })
}

/** The last event of a stream whose client asked for its cost: the token counts, and the US dollars. */
function costEvent({ request, costs }: Outcome['exchange'], stream: StreamAnswer): string {
  const { usageEvent, usage: counted } = stream
  const event = usageEvent?.()
  const chunk = (event ? JSON.parse(event) : head(request, 'chat.completion.chunk')) as {
    readonly usage?: object | null
  }
  const tokens = counted()
  const counts = tokens && {
    prompt_tokens: tokens.inputTokens,
    completion_tokens: tokens.outputTokens,
    total_tokens: tokens.inputTokens + tokens.outputTokens,
  }
  const usage = { ...(chunk.usage ?? counts), cost_usd: costs.costUsd ?? null }
  return `data: ${JSON.stringify({ ...chunk, choices: [], usage })}\n\n`
}

/** How long a client may read nothing of its stream, in milliseconds. */
const STALLED_MS = 30_000

/** Waits until the client has read what was written. @throws cancelled if it disconnects or stops reading */
function drained(raw: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (settled: () => void) => (): void => {
      clearTimeout(timer)
      raw.off('drain', taken)
      raw.off('close', left)
      settled()
    }
    const taken = settle(resolve)
    const left = settle(() => reject(gone()))
    const timer = setTimeout(() => {
      raw.destroy()
    }, STALLED_MS)
    raw.on('drain', taken)
    raw.on('close', left)
  })
}

const gone = (cause?: unknown): WeirError =>
  new WeirError('cancelled', { signal: 'the client' }, { cause })

/**
 * Headers of an answer: which model served it, why, and its cost if already known. Names and values
 * alternate, as Node takes them without checking each.
 */
function outcomeHeaders({ answer, plan, exchange }: Outcome): string[] {
  const { deciding } = plan
  const kind = plan.kind === 'serve' ? plan.strategy.kind : 'single'
  const headers = [
    'x-content-type-options',
    'nosniff',
    'cache-control',
    'no-store',
    'x-weir-id',
    exchange.request.id,
    'x-weir-step',
    deciding.step,
    'x-weir-reason',
    deciding.reason,
  ]
  if (deciding.name !== undefined) headers.push('x-weir-rule', headerText(deciding.name))
  if (plan.policy) {
    headers.push('x-weir-policy', headerText(`${plan.policy.name}@${plan.policy.hash}`))
  }
  if (plan.steps && exchange.request.hints.explain) {
    headers.push('x-weir-steps', plan.steps.map(verdictText).join(', '))
  }
  if (answer) {
    headers.push('x-weir-model', headerText(answer.target.model))
    headers.push('x-weir-upstream', headerText(answer.upstream))
    const first = plan.kind === 'serve' ? plan.targets[0]?.model : undefined
    // a model other than the decision's answered; with a strategy that is not a fallback
    if (kind === 'single' && first !== undefined && first !== answer.target.model) {
      headers.push('x-weir-failover-from', headerText(first))
    }
  }
  if (plan.kind === 'serve' && plan.decision) {
    const { id, router, win_rate, threshold } = plan.decision
    headers.push('x-weir-decision', id, 'x-weir-router', `${router.name}@${router.version}`)
    if (win_rate !== null) headers.push('x-weir-win-rate', String(win_rate))
    headers.push('x-weir-threshold', String(threshold))
  }
  const passed = answer?.answer.headers
  headers.push('x-request-id', passed?.['x-request-id'] ?? exchange.request.id)
  for (const name in passed) if (name !== 'x-request-id') headers.push(name, passed[name]!)
  const { costs, trail } = exchange
  if (kind !== 'single') headers.push('x-weir-strategy', [kind, ...notes(trail)].join('; '))
  const its = answer?.answer
  const running = its?.kind === 'large' || (its?.kind === 'stream' && !its.fromWhole)
  headers.push('x-weir-attempts', String(costs.attempts.length + (running ? 1 : 0)))
  if (answer && !running) {
    // the tokens of what still comes are only known when it ends
    const { costUsd } = costs
    if (costUsd !== undefined) headers.push(COST_HEADER, costUsd.toFixed(8))
  }
  return headers
}

const notes = ({ notes }: Trail): string[] => [...notes].map((pair) => pair.join('='))

/** `rule=code` for a step that had a result, `rule` alone for others; then the reason. */
const verdictText = ({ step, matched, name, reason }: StepVerdict): string => {
  const said = matched ? `${step}=${headerText(name ?? 'yes')}` : step
  return reason === undefined ? said : `${said};${headerText(reason)}`
}

const head = (request: GatewayRequest, object: string): Record<string, unknown> => ({
  id: request.id,
  object,
  created: Math.floor(request.time / 1000),
  model: request.body.model,
})

/** A refusal that the application displays as an answer. */
function refusalAnswer({ message }: RefusePlan, request: GatewayRequest): Record<string, unknown> {
  return {
    ...head(request, 'chat.completion'),
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: message, refusal: null },
        logprobs: null,
        finish_reason: 'content_filter',
      },
    ],
    usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
  }
}

/** The same as a stream. */
function refusalChunks({ message }: RefusePlan, request: GatewayRequest): StreamAnswer {
  const event = (delta: object, reason: string | null): string => {
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: reason }]
    return `data: ${JSON.stringify({ ...head(request, 'chat.completion.chunk'), choices })}\n\n`
  }
  async function* chunks(): AsyncGenerator<string> {
    yield event({ role: 'assistant', content: message }, null)
    yield event({}, 'content_filter')
  }
  return { kind: 'stream', chunks: chunks(), usage: () => undefined, cancel: () => {} }
}
