import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { TObject } from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import { RateLimit } from '../../state/rate-limit.ts'
import {
  type ConsoleCaller,
  ENDPOINTS,
  type Endpoint,
  type EndpointName,
  type Handlers,
  mayAct,
  type Session,
  SignIn,
} from './contract.ts'
import { consoleDocument } from './openapi.ts'
import { addPages, SAFE_HEADERS } from './pages.ts'
import { type OpenSession, Sessions } from './sessions.ts'

export interface ConsoleOptions {
  readonly mode: Session['mode']
  /** what the page calls this server */
  readonly title: string
  readonly handlers: Handlers
  /** Who a key or token belongs to; undefined if nobody who may use the console. */
  readonly holder: (key: string) => ConsoleCaller | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
  /** a report in HTML by its id, for `weir console`; undefined if there is none */
  readonly report?: ((id: string) => Promise<string | undefined>) | undefined
  /** the built files; those of the package if absent */
  readonly folder?: string | undefined
}

export interface Console {
  /** A code for an address `/console/#code=...` that signs in once. */
  invite(caller: ConsoleCaller): string
}

export const CONSOLE_PATH = '/console'
const API = `${CONSOLE_PATH}/api`
const COOKIE = 'weir_console'
const REPORT_POLICY =
  "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
/** Wrong keys from one address before they must wait. */
const WRONG_KEYS_PER_MINUTE = 20

/**
 * The console's pages and its endpoints, on an application whose guard has checked the Host. People sign in with a key and
 * get a cookie; programs send the key with every request. What a cookie changes must come from this origin and bear
 * the session's `csrf`.
 *
 * @throws file_not_found if the pages were not built
 */
export function addConsole(app: FastifyInstance, options: ConsoleOptions): Console {
  const { handlers, holder, now } = options
  const sessions = new Sessions(now)
  const wrong = new RateLimit()
  const names = Object.keys(handlers).filter((name) => handlers[name as EndpointName])

  const bearerOf = (request: FastifyRequest): ConsoleCaller | undefined => {
    const given = /^Bearer +(\S{1,500}) *$/i.exec(request.headers.authorization ?? '')?.[1]
    if (given === undefined) return undefined
    const found = holder(given)
    if (found) return found
    wrong.take(request.ip, WRONG_KEYS_PER_MINUTE)
    throw new WeirError('console_key_unknown')
  }
  /** @throws session_needed, origin_not_allowed */
  const callerOf = (request: FastifyRequest): ConsoleCaller => {
    assertOwnOrigin(request)
    const program = bearerOf(request)
    if (program) return program
    const session = sessions.of(cookieOf(request))
    if (!session) throw new WeirError('session_needed')
    if (request.method !== 'GET') assertMeant(request, session)
    return session
  }
  const described = (session: OpenSession): Session => ({
    ...{ name: session.name, role: session.role, csrf: session.csrf, expires: session.expires },
    ...{ mode: options.mode, title: options.title, endpoints: names },
  })

  app.register(async (its) => {
    its.addHook('onSend', async (_, reply) => {
      if (!reply.hasHeader('content-security-policy')) reply.headers(SAFE_HEADERS)
    })
    const { report } = options
    if (report) {
      its.get<{ Params: { id: string } }>(`${CONSOLE_PATH}/report/:id`, async (request, reply) => {
        callerOf(request)
        const text = await report(request.params.id)
        if (text === undefined) {
          throw new WeirError('route_not_found', { method: 'GET', path: request.url })
        }
        // its own scripts run, in an origin of their own
        return reply
          .headers({ ...SAFE_HEADERS, 'content-security-policy': REPORT_POLICY })
          .header('x-frame-options', 'SAMEORIGIN')
          .type('text/html; charset=utf-8')
          .send(text)
      })
    }
    addPages(its, options.folder)
    const document = JSON.stringify(consoleDocument(API, names))
    its.get('/openapi.json', (_, reply) => {
      reply.header('content-type', 'application/json; charset=utf-8').send(document)
    })
    its.get(`${API}/session`, (request, reply) => {
      assertOwnOrigin(request)
      const session = sessions.of(cookieOf(request))
      reply.header('cache-control', 'no-store')
      return { session: session ? described(session) : null }
    })
    its.post<{ Body: { readonly key: string } }>(
      `${API}/sign-in`,
      { schema: { body: SignIn } },
      (request, reply) => {
        assertOwnOrigin(request)
        const { key } = request.body
        const found = sessions.accept(key) ?? holder(key)
        if (!found) {
          wrong.take(request.ip, WRONG_KEYS_PER_MINUTE)
          throw new WeirError('console_key_unknown')
        }
        sessions.end(cookieOf(request))
        const cookie = sessions.start(found)
        setCookie(request, reply, cookie)
        return described(sessions.of(cookie)!)
      },
    )
    its.post(`${API}/sign-out`, (request, reply) => {
      callerOf(request)
      sessions.end(cookieOf(request))
      setCookie(request, reply, undefined)
      return { signed_out: true }
    })
    for (const [name, endpoint] of Object.entries<Endpoint>(ENDPOINTS)) {
      const handler = handlers[name as EndpointName] as
        | ((asked: unknown, caller: ConsoleCaller) => unknown)
        | undefined
      if (!handler) continue
      const { body, query, role } = endpoint
      its.route({
        method: body ? 'POST' : 'GET',
        url: `${API}/${name}`,
        schema: { ...(body ? { body } : {}), ...(query ? { querystring: query } : {}) },
        preValidation: async (request) => {
          if (query) request.query = typed(query, request.query as Record<string, string>)
        },
        onRequest: async (request) => {
          const caller = callerOf(request)
          if (!mayAct(caller.role, role)) {
            throw new WeirError('role_needed', { role, got: caller.role })
          }
          request.consoleCaller = caller
        },
        handler: async (request, reply) => {
          reply.header('cache-control', 'no-store')
          return handler(body ? request.body : request.query, request.consoleCaller!)
        },
      })
    }
  })
  app.decorateRequest('consoleCaller', undefined)
  return { invite: (caller) => sessions.invite(caller) }
}

declare module 'fastify' {
  interface FastifyRequest {
    /** who asks an endpoint of the console */
    consoleCaller: ConsoleCaller | undefined
  }
}

/** Pages of other sites may not call, whatever cookie the browser adds. @throws origin_not_allowed */
function assertOwnOrigin({ headers }: FastifyRequest): void {
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  const foreign = site !== undefined && site !== 'same-origin' && site !== 'none'
  if (origin === undefined && !foreign) return
  const own = origin !== undefined && URL.canParse(origin) && new URL(origin).host === host
  if (foreign || !own) throw new WeirError('origin_not_allowed', { origin: origin ?? String(site) })
}

/** @throws csrf_missing */
function assertMeant({ headers }: FastifyRequest, { csrf }: OpenSession): void {
  if (headers['x-weir-csrf'] !== csrf) throw new WeirError('csrf_missing')
}

/** Under a name that the port is part of: cookies of one machine are shared by all its ports. */
const cookieName = ({ headers }: FastifyRequest): string =>
  `${COOKIE}_${/:(\d+)$/.exec(headers.host ?? '')?.[1] ?? 'web'}`

function cookieOf(request: FastifyRequest): string | undefined {
  const start = `${cookieName(request)}=`
  const found = (request.headers.cookie ?? '')
    .split(/; */)
    .find((one) => one.startsWith(start))
    ?.slice(start.length)
  return found !== undefined && /^[\w-]{20,100}$/.test(found) ? found : undefined
}

function setCookie(request: FastifyRequest, reply: FastifyReply, value: string | undefined): void {
  // a proxy in front of this port has the certificate, and says so by the page's own origin
  const secure = request.headers.origin?.startsWith('https:') ? '; Secure' : ''
  const age = value === undefined ? '; Max-Age=0' : ''
  reply.header(
    'set-cookie',
    `${cookieName(request)}=${value ?? ''}; Path=${CONSOLE_PATH}; HttpOnly; SameSite=Strict${secure}${age}`,
  )
  reply.header('cache-control', 'no-store')
}

/** A query's texts as the numbers and booleans that its schema has there; what is neither stays, and is refused. */
function typed({ properties }: TObject, query: Readonly<Record<string, string>>): object {
  return Object.fromEntries(
    Object.entries(query).map(([name, text]) => {
      const type = (properties[name] as { readonly type?: string } | undefined)?.type
      if ((type === 'integer' || type === 'number') && /^-?\d+(\.\d+)?$/.test(text)) {
        return [name, Number(text)]
      }
      if (type === 'boolean' && (text === 'true' || text === 'false'))
        return [name, text === 'true']
      return [name, text]
    }),
  )
}
