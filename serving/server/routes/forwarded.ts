import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WeirError } from '../../../core/errors.ts'
import { type BodyText, LargeJson } from '../../../core/json/large.ts'
import { headerText } from '../../gateway/error-body.ts'
import type { Forwarding } from '../../gateway/forwarding.ts'
import type { ForwardOutcome, Gateway } from '../../gateway/gateway.ts'
import type { StoredAnswer, StoredIds } from '../../gateway/stored-ids.ts'
import { passedTurns } from '../../policy/limits.ts'
import { editJson } from '../../upstreams/body-text.ts'
import { FORWARDED, type ServedEndpoint } from '../../upstreams/upstream.ts'
import { collectBody, readJson } from '../bodies.ts'
import { formField, formParts, readableForm, withFormValue } from '../multipart.ts'
import type { Services } from '../services.ts'
import { withClient } from './passed.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** a request of any method counts for rate limits */
    forwarded?: boolean
    /** the body is sent on as it comes, so that it takes no memory */
    streamed?: boolean
  }
}

/** Endpoints whose bodies are files, which no model is named for. */
const OF_FILES = new Set<ServedEndpoint>(['files', 'uploads'])
const METHODS = ['GET', 'POST', 'DELETE'] as const

/**
 * The rest of OpenAI's API: `/v1/completions`, `/v1/files/...` and so on, as the client wrote it, to the model
 * that it names or the default upstream.
 */
export function addForwardedRoutes(
  app: FastifyInstance,
  services: Services,
  gateway: Gateway,
): void {
  const { bodyLimit, policies } = services
  const serve = (endpoint: ServedEndpoint, streamed: boolean) => {
    const reply = forwarder(endpoint, streamed, services, gateway)
    return { handler: reply, bodyLimit, config: { forwarded: true, streamed } }
  }
  app.register(async (scope) => {
    // bodies of any type, unread
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_, payload, done) => done(null, payload))
    for (const family of FORWARDED) {
      // a policy may have to read what is uploaded
      const streamed = OF_FILES.has(family) && !policies
      const its = serve(family, streamed)
      scope.route({ method: [...METHODS], url: `/v1/${family}`, ...its })
      scope.route({ method: [...METHODS], url: `/v1/${family}/*`, ...its })
    }
    // `POST /v1/responses` has a model, and is not forwarded
    scope.route({ method: [...METHODS], url: '/v1/responses/*', ...serve('responses', false) })
  })
}

/** What is known of a body. */
interface Content extends Pick<Forwarding, 'body' | 'withModel'> {
  /** '' if it names none */
  readonly model: string
  readonly readable: Readonly<Record<string, unknown>>
}

const NOTHING: Content = { model: '', readable: {}, body: undefined }

function forwarder(
  endpoint: ServedEndpoint,
  streamed: boolean,
  services: Services,
  gateway: Gateway,
) {
  const { gate, ids, storedIds, now, policies } = services
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { caller, headers } = request
    const { path, query, stored } = addressOf(endpoint, request, storedIds)
    const payload = request.body as (Readable & IncomingMessage) | undefined | null
    gate.inFlight++
    try {
      const content = !payload
        ? NOTHING
        : streamed
          ? { ...NOTHING, body: payload }
          : await read(request, payload)
      const { readable, body, withModel } = content
      // an earlier response is where it is kept, whatever the body names
      const model = stored?.model ?? content.model
      const asked = {
        id: ids.next(caller.name),
        body: { model, messages: policies ? passedTurns(readable) : [] },
        passed: { model, ...readable },
        unlisted: !gateway.dispatcher.models.has(model),
        pinned: stored,
        caller,
        headers,
        hints: {},
        time: now(),
      }
      const sent = {
        method: request.method as Forwarding['method'],
        path,
        query,
        headers: ownHeaders(headers, streamed ? [...DESCRIBING, ...ENCODING] : DESCRIBING),
        body,
        withModel,
      }
      const outcome = await withClient(reply, (gone) =>
        gateway.forward(endpoint, asked, sent, gone),
      )
      await sendForwarded(reply, outcome)
    } finally {
      gate.inFlight--
      // an upload that nobody read to its end
      if (streamed) payload?.resume()
    }
  }
}

/** The path below `/v1` with each part encoded again, so that it stays below it, and the parameters. */
function addressOf(
  endpoint: ServedEndpoint,
  { params, raw, caller }: FastifyRequest,
  storedIds: StoredIds,
): { readonly path: string; readonly query: string; readonly stored: StoredAnswer | undefined } {
  const rest = ((params as { '*'?: string })['*'] ?? '').split('/').filter((part) => part !== '')
  if (rest.some((part) => part === '.' || part === '..' || /[\\\p{Cc}]/u.test(part))) {
    const path = raw.url?.slice(0, 200)
    throw new WeirError('route_not_found', { method: raw.method, path })
  }
  const stored = endpoint === 'responses' ? storedIds.open(rest[0] ?? '', caller.name) : undefined
  if (stored) rest[0] = stored.id
  const path = ['', endpoint, ...rest.map(encodeURIComponent)].join('/')
  const url = raw.url ?? ''
  const mark = url.indexOf('?')
  return { path, query: mark < 0 ? '' : url.slice(mark + 1), stored }
}

const DESCRIBING = ['content-type', 'accept', 'range']
const ENCODING = ['content-length', 'content-encoding']

/** The client's headers that say what the request is. */
function ownHeaders(
  headers: FastifyRequest['headers'],
  names: readonly string[],
): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const name of names) {
    const value = headers[name]
    if (typeof value === 'string') kept[name] = value
  }
  return kept
}

async function read(request: FastifyRequest, payload: Readable): Promise<Content> {
  const type = request.headers['content-type'] ?? ''
  if (/^application\/([\w.+-]+\+)?json\b/i.test(type)) {
    const value = await readJson(request, payload)
    // clients name the type even where they send nothing
    if (value === undefined) return NOTHING
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      const got = Array.isArray(value) ? 'a list' : String(value)
      throw new WeirError('request_invalid', { where: 'body', expected: 'a JSON object', got })
    }
    const readable = value as Record<string, unknown>
    const { bodyText } = request
    return {
      model: modelOf(readable.model),
      readable,
      // what limits were checked against: a field given twice is read in one way only
      body: payloadOf(editJson(bodyText, {})) ?? JSON.stringify(readable),
      withModel: (model) =>
        payloadOf(editJson(bodyText, { model: JSON.stringify(model) })) ??
        JSON.stringify({ ...readable, model }),
    }
  }
  const coding = request.headers['content-encoding']
  if (coding !== undefined && coding.trim().toLowerCase() !== 'identity') {
    const expected = 'none for a body that is not JSON'
    throw new WeirError('content_encoding_invalid', { expected, got: coding })
  }
  const bytes = await collectBody(request, payload)
  if (!/^multipart\/form-data\b/i.test(type)) {
    const readable = isUtf8(bytes) ? { content: bytes.toString('utf8') } : { type: 'file' }
    return { model: '', readable, body: bytes }
  }
  const parts = formParts(bytes, type)
  const named = formField(bytes, parts, 'model')
  // how many answers, which budgets count
  const n = Number(formField(bytes, parts, 'n')?.value ?? 1)
  return {
    model: modelOf(named?.value),
    readable: { input: readableForm(bytes, parts), n },
    body: bytes,
    withModel: named && ((model) => withFormValue(bytes, named, model)),
  }
}

/** A body to send as it is. */
export const payloadOf = (text: BodyText | undefined): string | Buffer | undefined =>
  text instanceof LargeJson ? Buffer.concat(text.pieces()) : text

/** @throws request_invalid */
function modelOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'string' && value.length <= 200) return value
  throw new WeirError(
    'request_invalid',
    { where: 'model', expected: 'a text of at most 200 characters', got: typeof value },
    { param: 'model' },
  )
}

/** Sends an upstream's answer as it comes. */
export async function sendForwarded(reply: FastifyReply, outcome: ForwardOutcome): Promise<void> {
  const { answer, id, model, upstream } = outcome
  const { status, body, headers } = answer
  const { raw } = reply
  reply.hijack()
  raw.writeHead(status, {
    'x-request-id': id,
    ...headers,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    'x-weir-id': id,
    'x-weir-model': headerText(model),
    'x-weir-upstream': headerText(upstream),
    'x-weir-attempts': '1',
  })
  // so that the first bytes of a stream are not kept back
  raw.flushHeaders()
  try {
    await pipeline(body, raw)
    outcome.finish(status)
  } catch (error) {
    raw.destroy()
    outcome.finish(status, error instanceof WeirError ? error.code : 'cancelled')
  }
}
