import { randomUUID } from 'node:crypto'
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import { WeirError } from '../../core/errors.ts'
import { BODY_LIMIT } from '../../core/json/body.ts'
import {
  apiOfPath,
  type ErrorAnswer,
  errorAnswer,
  messagesError,
  requestFacts,
} from '../gateway/error-body.ts'
import { ANYONE, type KeyHolder, type KeyRing } from '../router/keys.ts'
import { RateLimit } from '../state/rate-limit.ts'
import { FORWARDED } from '../upstreams/upstream.ts'
import { addJsonBodies, bodyMemory, claimBody } from './bodies.ts'
import { browserGuard } from './browser-guard.ts'
import { docsPage, openApiDocument } from './openapi.ts'
import { addBatchRoute } from './routes/batch.ts'
import { AnswerTurns, addChatRoute } from './routes/chat.ts'
import { addFeedbackRoute } from './routes/feedback.ts'
import { addForwardedRoutes } from './routes/forwarded.ts'
import { addOtherApiRoutes } from './routes/other-apis.ts'
import { addPassedRoute } from './routes/passed.ts'
import { addHealthRoutes, addMetricsRoute, addModelsRoute } from './routes/read-only.ts'
import { addRouteRoute } from './routes/route.ts'
import type { Services } from './services.ts'
import { compileValidator } from './validator.ts'

/** Paths that need no key: whether the server runs, and how to call it. */
const OPEN_PATHS = new Set(['/health', '/ready', '/openapi.json', '/docs'])
/** Paths whose answers bypass fastify's reply. */
const LEAN_PATHS = new Set([
  '/route',
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/messages',
  '/v1/embeddings',
])

/** Paths of OpenAI's API without the version, as clients call them whose base URL lacks it. */
const UNVERSIONED = new RegExp(
  `^/(chat/completions|responses|messages|embeddings|models|${FORWARDED.join('|')})(?=[/?]|$)`,
)

/** Requests without a valid key, from one address to one process, before they are rate limited. */
export const WRONG_KEYS_PER_MINUTE = 60

/**
 * The HTTP application, not yet listening; tests call it through `inject()`.
 *
 * @param options.insecure clients on other machines need no keys, so that no Host is foreign
 * @throws config_invalid
 */
export function buildApp(
  services: Services,
  { insecure = false }: { readonly insecure?: boolean | undefined } = {},
): FastifyInstance {
  const app = bareApp(services)
  addEndpoints(app, services, !insecure && services.keys === undefined)
  addHealthRoutes(app, services)
  addMetricsRoute(app, services)
  const document = openApiDocument(services.gateway !== undefined, services.policies?.stepNames)
  const documentText = JSON.stringify(document)
  const page = docsPage(document)
  app.get('/openapi.json', (_, reply) => {
    reply.header('content-type', 'application/json; charset=utf-8').send(documentText)
  })
  app.get('/docs', (_, reply) => {
    reply
      .header('content-type', 'text/html; charset=utf-8')
      .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
      .send(page)
  })
  return app
}

/**
 * The endpoints that clients call, with the checks before each: the key, the load and the rate. Used in our
 * own application and, under its prefix, in a host application.
 *
 * @param open only this machine can reach them, without keys (`BrowserRules.open`)
 */
export function addEndpoints(app: FastifyInstance, services: Services, open: boolean): void {
  const { gate, keys, rateLimit, ratePerMinute, browsers, bodies, tracing } = services
  const guard = browserGuard({ ...browsers, open })
  app.decorateRequest('caller', null as unknown as KeyHolder)
  app.decorateRequest('traceScope', undefined)
  const wrongKeys = new RateLimit()
  const holderOf = (ring: KeyRing, { headers, ip }: FastifyRequest): KeyHolder => {
    try {
      return ring.holder(headers.authorization, headers['x-api-key'])
    } catch (error) {
      wrongKeys.take(ip, WRONG_KEYS_PER_MINUTE)
      throw error
    }
  }
  // callback style: a promise per request costs more than all of this
  app.addHook('onRequest', (request, reply, done) => {
    let waiting: Promise<void> | undefined
    try {
      request.caller = ANYONE
      if (tracing) request.traceScope = tracing.enter(request.raw, reply.raw)
      if (guard(request, reply)) return
      const path = request.routeOptions.url?.slice(app.prefix.length)
      if (path !== undefined && !OPEN_PATHS.has(path)) {
        if (keys) request.caller = holderOf(keys, request)
        if (request.method === 'POST' || request.routeOptions.config.forwarded) {
          gate.check()
          claimBody(request, reply, bodies)
          const limit = request.caller.ratePerMinute ?? ratePerMinute
          if (limit !== undefined) {
            waiting = rateLimit.take(keys ? request.caller.name : request.ip, limit)
          }
        }
      }
      // routes in LEAN_PATHS send these headers with the answer
      if (path === undefined || !LEAN_PATHS.has(path)) secure(reply)
    } catch (error) {
      done(error as Error)
      return
    }
    // a worker whose share is used up asks the primary
    if (waiting) waiting.then(() => done(), done)
    else done()
  })
  if (browsers.cors) {
    // preflights are answered before this; in a host application, which has a 404 of its own, they need a route
    app.options('/*', ({ method, url }) => {
      throw new WeirError('route_not_found', { method, path: url.slice(0, 200) })
    })
  }
  addRouteRoute(app, services)
  addBatchRoute(app, services)
  addFeedbackRoute(app, services)
  addModelsRoute(app, services)
  if (services.gateway) {
    const turns = new AnswerTurns(services)
    addChatRoute(app, services, services.gateway, turns)
    addOtherApiRoutes(app, services, services.gateway, turns)
    addPassedRoute(app, services, services.gateway, 'embeddings')
    addForwardedRoutes(app, services, services.gateway)
  }
}

/** What an application needs to refuse requests; the primary's port counts none. */
export type BareServices = Pick<Services, 'onBug'> &
  Partial<Pick<Services, 'metrics' | 'bodies' | 'ids'>>

type Refuse = (error: unknown, request: FastifyRequest, send: (answer: ErrorAnswer) => void) => void

const refuser =
  ({ metrics, onBug, ids }: BareServices): Refuse =>
  (error, request, send) => {
    const facts = requestFacts(request)
    const answer = errorAnswer(error, facts)
    if (answer.status === 500) onBug(error, facts)
    metrics?.refused(answer.reason)
    send(withId(answer, () => ids?.next(request.caller?.name ?? ANYONE.name) ?? randomUUID()))
  }

/** The error with the request's id, also where it was refused before it had one. */
function withId(answer: ErrorAnswer, newId: () => string): ErrorAnswer {
  if (answer.headers?.['x-weir-id'] !== undefined) return answer
  const id = newId()
  return { ...answer, headers: { 'x-request-id': id, 'x-weir-id': id, ...answer.headers } }
}

/** Our application without endpoints: limits, JSON, and errors in one shape. */
export function bareApp(services: BareServices): FastifyInstance {
  const refuse = refuser(services)
  const app = fastify({
    bodyLimit: BODY_LIMIT,
    logger: false,
    exposeHeadRoutes: true,
    forceCloseConnections: 'idle',
    // a client that sends its request too slowly is disconnected; first a limit for headers, then for the
    // whole
    requestTimeout: 120_000,
    keepAliveTimeout: 72_000,
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 5_000 },
    routerOptions: {
      maxParamLength: 200,
      ignoreTrailingSlash: true,
      ignoreDuplicateSlashes: true,
    },
    rewriteUrl: ({ url = '/' }) => (UNVERSIONED.test(url) ? `/v1${url}` : url),
    frameworkErrors: (error, request, reply) => {
      // its reply type has generics that cannot be named here
      refuse(error, request as FastifyRequest, (answer) => sendError(reply as FastifyReply, answer))
    },
    clientErrorHandler: answerBrokenRequest,
  })
  addConventions(app, services)
  app.setNotFoundHandler((request, reply) => {
    const { method, path } = requestFacts(request)
    const error = new WeirError('route_not_found', { method, path })
    refuse(error, request, (answer) => sendError(reply, answer))
  })
  return app
}

/** How bodies are read and checked, and errors answered, in this instance and its children. */
export function addConventions(app: FastifyInstance, services: BareServices): void {
  const refuse = refuser(services)
  app.decorateRequest('bodyText', '')
  app.decorateRequest('bodyClaim', null)
  app.removeAllContentTypeParsers()
  addJsonBodies(app, services.bodies ?? bodyMemory())
  app.setValidatorCompiler(compileValidator)
  app.setErrorHandler((error: FastifyError, request, reply) => {
    refuse(error, request, (answer) => sendError(reply, answer))
  })
}

function sendError(reply: FastifyReply, answer: ErrorAnswer): void {
  const { status, retryAfter, headers } = answer
  const body =
    apiOfPath(reply.request.url) === 'messages'
      ? messagesError(answer, headers?.['x-weir-id'])
      : answer.body
  if (headers) reply.headers(headers)
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  if (status === 401) reply.header('www-authenticate', 'Bearer')
  secure(reply)
  reply.status(status).send(body)
}

/** Written by hand: the usual plugin costs as much per request as a decision. */
function secure(reply: FastifyReply): void {
  reply.header('x-content-type-options', 'nosniff').header('cache-control', 'no-store')
}

/** Invalid HTTP never reaches the application: it is answered on the socket. */
function answerBrokenRequest(
  error: Error & { code?: string },
  socket: { writable: boolean; end(text: string): unknown; destroy(): unknown },
): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const got = error.code ?? 'something else'
  const refusal = new WeirError('request_invalid', { where: 'request', expected: 'HTTP/1.1', got })
  const facts = { method: '', path: '', contentType: undefined }
  const text = JSON.stringify(errorAnswer(refusal, facts).body)
  const status =
    got === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? '408 Request Timeout'
      : got === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : '400 Bad Request'
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  )
}
