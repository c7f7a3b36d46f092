import { once } from 'node:events'
import type { FastifyReply } from 'fastify'
import { WeirError } from '../../models/errors.ts'
import { errorAnswer } from '../error-body.ts'
import type { StreamAnswer } from '../upstreams/upstream.ts'
import type { Outcome } from './gateway.ts'
import { outcomeHeaders } from './outcome-headers.ts'
import { refusalAnswer, refusalChunks } from './refusal-answer.ts'

/** Writes what a request came to. Ends when the last byte was taken, or could not be. */
export async function sendOutcome(reply: FastifyReply, outcome: Outcome): Promise<FastifyReply> {
  const { answer, plan, exchange } = outcome
  reply.headers(outcomeHeaders(outcome))
  if (answer?.answer.kind === 'stream') return sendStream(reply, outcome, answer.answer)
  if (plan.kind === 'refuse' && exchange.request.body.stream) {
    return sendStream(reply, outcome, refusalChunks(plan, exchange.request))
  }
  const { text, body } = answer?.answer ?? {
    text: undefined,
    body: plan.kind === 'refuse' && refusalAnswer(plan, exchange.request),
  }
  outcome.finish(200)
  return reply.type('application/json; charset=utf-8').send(text ?? JSON.stringify(body))
}

/** How long a client may take nothing of its stream, in milliseconds. */
const STALLED_MS = 30_000

async function sendStream(
  reply: FastifyReply,
  outcome: Outcome,
  stream: StreamAnswer,
): Promise<FastifyReply> {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    // so that proxies pass on each token as it comes
    'x-accel-buffering': 'no',
  })
  let code: string | undefined
  try {
    for await (const chunk of stream.chunks) {
      if (raw.destroyed) throw new WeirError('cancelled', { signal: 'the client' })
      if (!raw.write(chunk)) await once(raw, 'drain', { signal: AbortSignal.timeout(STALLED_MS) })
    }
    raw.end(outcome.exchange.endpoint === 'chat' ? 'data: [DONE]\n\n' : undefined)
  } catch (error) {
    const known = error instanceof WeirError ? error : cutOff(error)
    code = known.code
    // no [DONE]: what came is not the whole, and clients throw on an event with an error
    const facts = { method: 'POST', path: '', contentType: undefined }
    raw.end(`data: ${JSON.stringify(errorAnswer(known, facts).body)}\n\n`)
  } finally {
    stream.cancel()
    outcome.finish(200, code)
  }
  return reply
}

const cutOff = (cause: unknown): WeirError =>
  new WeirError('cancelled', { signal: 'the client' }, { cause })
