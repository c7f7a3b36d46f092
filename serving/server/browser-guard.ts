import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'

/** Which web pages may call the server from a browser. */
export const Cors = Type.Object(
  {
    /** as browsers send them: `https://app.example.com`, `http://localhost:5173`; `*` is every page (needs keys) */
    origins: Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
  },
  { additionalProperties: false },
)
export type Cors = Type.Static<typeof Cors>

export interface BrowserRules {
  readonly cors?: Cors | undefined
  /** further host names under which the server is called, `name` or `name:port` */
  readonly hosts?: readonly string[] | undefined
  /**
   * Whether the caller's address is all that protects the server: it listens on this machine and asks for no
   * keys. A web page in a browser on this machine has that address too, so the Host must be a name of this
   * machine, and an Origin that is not listed is refused.
   */
  readonly open: boolean
}

/** Answers a preflight and returns true, else adds what a listed origin needs. @throws host_not_allowed, origin_not_allowed */
export type BrowserGuard = (request: FastifyRequest, reply: FastifyReply) => boolean

/** Seconds for which a browser may keep the answer to a preflight. */
const PREFLIGHT_SECONDS = 600
const METHODS = 'GET, POST, OPTIONS'
/** Names that a preflight asks for; the answer repeats them. */
const HEADER_NAMES = /^[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,4000}$/
/** Headers that pages may read, besides those that every page may. */
const EXPOSED =
  'retry-after, x-weir-id, x-weir-step, x-weir-reason, x-weir-rule, x-weir-policy, x-weir-steps, x-weir-model, x-weir-upstream, x-weir-failover-from, x-weir-decision, x-weir-router, x-weir-win-rate, x-weir-threshold, x-weir-strategy, x-weir-attempts, x-weir-cost-usd'

/**
 * Checks Host and Origin of every request, and answers preflights (https://fetch.spec.whatwg.org/#cors-protocol).
 * Requests of programs, which send no Origin, pay one look at their headers.
 *
 * @throws config_invalid
 */
export function browserGuard({ cors, hosts, open }: BrowserRules): BrowserGuard {
  const origins = new Set(cors?.origins.map(originOf))
  const everyone = origins.has('*')
  if (everyone && open) {
    throw new WeirError('config_invalid', {
      where: 'cors.origins',
      expected: 'origins one by one, because without keys every page could use the server',
      got: '*',
    })
  }
  const names = new Set(hosts?.map((host) => host.toLowerCase()))
  const checksHost = open || names.size > 0
  return (request, reply) => {
    const { headers } = request
    if (checksHost) assertHost(headers.host, names)
    const { origin } = headers
    if (origin === undefined) return false
    const listed = everyone || origins.has(origin.toLowerCase())
    const preflight =
      request.method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
    if (!listed) {
      // with keys, the key decides, and the browser keeps the answer from the page
      if (open || preflight) throw new WeirError('origin_not_allowed', { origin })
      return false
    }
    const { raw } = reply
    // on the raw answer, since some answers bypass fastify's reply
    raw.setHeader('access-control-allow-origin', everyone ? '*' : origin)
    if (!everyone) raw.setHeader('vary', 'Origin')
    if (!preflight) {
      raw.setHeader('access-control-expose-headers', EXPOSED)
      return false
    }
    answerPreflight(headers, reply)
    return true
  }
}

function answerPreflight(headers: IncomingHttpHeaders, reply: FastifyReply): void {
  const asked = headers['access-control-request-headers']
  reply
    .status(204)
    .header('access-control-allow-methods', METHODS)
    .header('access-control-max-age', PREFLIGHT_SECONDS)
  // by name: `*` does not stand for `authorization`
  if (asked !== undefined && HEADER_NAMES.test(asked)) {
    reply.header('access-control-allow-headers', asked)
  }
  // Chrome asks before a page from the internet calls this machine
  if (headers['access-control-request-private-network'] === 'true') {
    reply.header('access-control-allow-private-network', 'true')
  }
  reply.send()
}

/** The origin as browsers write it: lower case, without the scheme's own port. @throws config_invalid */
function originOf(text: string): string {
  if (text === '*') return text
  const parts = /^([a-z][a-z0-9+.-]*):\/\/[^/\s*?#@]+$/i.exec(text)
  const url = parts && URL.canParse(text) ? new URL(text) : undefined
  if (!parts || !url) {
    throw new WeirError('config_invalid', {
      where: 'cors.origins',
      expected: 'origins such as https://app.example.com, without a path',
      got: text,
    })
  }
  return /^https?$/i.test(parts[1]!) ? url.origin : text.toLowerCase()
}

/**
 * A page that has its own name point here (DNS rebinding) is of the server's origin to the browser, but the
 * Host still has the page's name. Browsers always send a Host, so a request without one is a program's.
 *
 * @param names further names of the server in lower case, each `name` or `name:port`
 * @throws host_not_allowed
 */
export function assertHost(host: string | undefined, names: ReadonlySet<string>): void {
  if (host === undefined || host === '') return
  const lower = host.toLowerCase()
  const name = lower.replace(/:\d*$/, '')
  if (ofThisMachine(name) || names.has(lower) || names.has(name)) return
  throw new WeirError('host_not_allowed', { host })
}

function ofThisMachine(name: string): boolean {
  if (name === 'localhost' || name === '127.0.0.1' || name === '[::1]') return true
  return (isIP(name) === 4 && name.startsWith('127.')) || name.endsWith('.localhost')
}
