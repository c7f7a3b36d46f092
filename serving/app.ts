import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { errorAnswer, type RequestFacts } from './error-body.ts'
import { openApiDocument } from './openapi.ts'
import type { RouterSource } from './router-source.ts'
import { addHealthRoutes } from './routes/health.ts'
import { addRouteRoute } from './routes/route.ts'
import { compileValidator } from './validator.ts'

/** Largest request body, in bytes: a prompt of a million characters fits, ten megabytes do not. */
export const BODY_LIMIT = 8 * 1024 * 1024

export interface AppOptions {
  readonly routers: RouterSource
  /** where a failure that is our own fault is told; the client learns only that it happened */
  readonly onBug: (error: unknown, request: RequestFacts) => void
  readonly bodyLimit?: number
}

/** The HTTP application, not yet listening; tests call it through `inject()`. */
export function buildApp(options: AppOptions): FastifyInstance {
  const bodyLimit = options.bodyLimit ?? BODY_LIMIT
  const facts = (request: FastifyRequest): RequestFacts => ({
    method: request.method,
    path: request.url.slice(0, 200),
    contentType: request.headers['content-type'],
    bodyLimit,
  })
  const app = fastify({
    bodyLimit,
    logger: false,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    // a client that trickles its request in is cut off; headers first, then the whole
    requestTimeout: 30_000,
    keepAliveTimeout: 72_000,
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 5_000 },
    routerOptions: { maxParamLength: 200 },
    frameworkErrors: (error, request, reply) => {
      const { status, body } = errorAnswer(error, facts(request))
      // its type carries generics that nobody can name
      ;(reply as FastifyReply).status(status).send(body)
    },
    clientErrorHandler(error, socket) {
      if (!socket.writable) return socket.destroy()
      const { body } = errorAnswer(
        { statusCode: 400, message: error.code ?? error.message },
        { method: '', path: '', contentType: undefined, bodyLimit },
      )
      const text = JSON.stringify(body)
      const status =
        error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? '408 Request Timeout'
          : error.code === 'HPE_HEADER_OVERFLOW'
            ? '431 Request Header Fields Too Large'
            : '400 Bad Request'
      socket.end(
        `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
      )
    },
  })
  // JSON is all that is taken; fastify would read text too
  app.removeContentTypeParser('text/plain')
  app.setValidatorCompiler(compileValidator)
  app.setErrorHandler((error, request, reply) => {
    const { status, body } = errorAnswer(error, facts(request))
    if (status === 500) options.onBug(error, facts(request))
    reply.status(status).send(body)
  })
  app.setNotFoundHandler((request, reply) => {
    const { status, body } = errorAnswer({ code: 'FST_ERR_NOT_FOUND' }, facts(request))
    reply.status(status).send(body)
  })
  addRouteRoute(app, options.routers)
  addHealthRoutes(app, options.routers)
  const document = JSON.stringify(openApiDocument())
  app.get('/openapi.json', (_, reply) => {
    reply.header('content-type', 'application/json; charset=utf-8').send(document)
  })
  return app
}
