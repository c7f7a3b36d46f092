import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'
import { WeirError } from '../../models/errors.ts'
import { errorAnswer } from '../error-body.ts'
import type { StreamAnswer } from '../upstreams/upstream.ts'
import type { Outcome } from './gateway.ts'
import { outcomeHeaders } from './outcome-headers.ts'
import { refusalAnswer, refusalChunks } from './refusal-answer.ts'

/**
 * Writes what a request came to, past fastify's reply, whose headers and hooks cost more than our own
 * part of the work. Ends when the last byte was taken, or could not be.
 */
export async function sendOutcome(reply: FastifyReply, outcome: Outcome): Promise<void> {
  const { answer, plan, exchange } = outcome
  const headers = outcomeHeaders(outcome)
  if (answer?.answer.kind === 'stream') {
    await sendStream(reply, headers, outcome, answer.answer)
  } else if (plan.kind === 'refuse' && exchange.request.body.stream) {
    await sendStream(reply, headers, outcome, refusalChunks(plan, exchange.request))
  } else {
    const { text, body } = answer?.answer ?? {
      text: undefined,
      body: plan.kind === 'refuse' && refusalAnswer(plan, exchange.request),
    }
    sendWhole(reply, headers, text ?? JSON.stringify(body))
    outcome.finish(200)
  }
}

function sendWhole(reply: FastifyReply, headers: string[], text: string): void {
  const bytes = Buffer.byteLength(text)
  headers.push('content-type', 'application/json; charset=utf-8', 'content-length', String(bytes))
  reply.hijack()
  reply.raw.writeHead(200, headers)
  // where a character is a byte there is nothing to encode, and head and body go out as one
  reply.raw.end(text, bytes === text.length ? 'latin1' : 'utf8')
}

async function sendStream(
  reply: FastifyReply,
  headers: string[],
  outcome: Outcome,
  stream: StreamAnswer,
): Promise<void> {
  headers.push('content-type', 'text/event-stream; charset=utf-8')
  // so that proxies pass on each token as it comes
  headers.push('x-accel-buffering', 'no')
  reply.hijack()
  const { raw } = reply
  raw.writeHead(200, headers)
  let code: string | undefined
  try {
    for await (const chunk of stream.chunks) {
      if (raw.destroyed) throw gone()
      if (!raw.write(chunk)) await drained(raw)
    }
    raw.end(outcome.exchange.endpoint === 'chat' ? 'data: [DONE]\n\n' : undefined)
  } catch (error) {
    const known = error instanceof WeirError ? error : gone(error)
    code = known.code
    // no [DONE]: what came is not the whole, and clients throw on an event with an error
    const facts = { method: 'POST', path: '', contentType: undefined }
    raw.end(`data: ${JSON.stringify(errorAnswer(known, facts).body)}\n\n`)
  } finally {
    stream.cancel()
    outcome.finish(200, code)
  }
}

/** How long a client may take nothing of its stream, in milliseconds. */
const STALLED_MS = 30_000

/** Waits until the client has taken what was written. @throws cancelled where it goes, or takes nothing */
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
