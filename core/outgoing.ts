import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import { BlockList, isIP, Socket, type SocketConnectOpts } from 'node:net'
import { rootCertificates } from 'node:tls'
import type { Agent, Dispatcher, Pool, ProxyAgent, RequestInit, Response } from 'undici'
import { WeirError } from './errors.ts'

/**
 * The only module that makes outgoing calls: `outgoingUrl` checks an address, and only checked addresses can
 * be fetched or given a pool. `test/core/outgoing-calls.test.ts` fails for a call made elsewhere.
 */

declare const checked: unique symbol
/** An address checked by `outgoingUrl`. */
export type OutgoingUrl = URL & { readonly [checked]: true }

export interface OutgoingRules {
  /** the allowed hosts, as `name` or `name:port`; any host if undefined */
  readonly allowHosts?: readonly string[] | undefined
  /** the name of that list in the operator's settings; `allow_hosts` by default */
  readonly listName?: string
  /** whether a query string is allowed: some services take a version or a token in it */
  readonly query?: boolean
}

/**
 * Checks an address before anything is sent there. Requests cannot set addresses: they come from the
 * operator, and if `allowHosts` lists hosts the address must be on one of them, so that a changed file cannot
 * send prompts elsewhere.
 *
 * @param where the setting that holds the address, for the error
 * @throws config_invalid
 */
export function outgoingUrl(text: string, where: string, rules: OutgoingRules = {}): OutgoingUrl {
  const { allowHosts: allowed, listName = 'allow_hosts', query = false } = rules
  const invalid = (expected: string): WeirError =>
    new WeirError('config_invalid', { where, expected, got: withoutSecrets(text) })
  if (!URL.canParse(text)) throw invalid('an http or https URL')
  const url = new URL(text)
  if (!/^https?:$/.test(url.protocol)) throw invalid('an http or https URL')
  if (url.username || url.password) throw invalid('no user or password (keys come by key_env)')
  if (url.hash || (url.search && !query)) throw invalid('a URL without query or fragment')
  if (allowed && !isListed(url, allowed)) {
    throw invalid(`a host of ${listName} (${allowed.join(', ')})`)
  }
  if ((isGuarded(bareHost(url)) || isGuardedName(url.hostname)) && !allowed) {
    const keeps = 'no link-local address or metadata service, where clouds keep credentials'
    throw invalid(`${keeps}, unless ${listName} names it`)
  }
  return url as OutgoingUrl
}

/** Whether a list of hosts contains the host of this address, with or without its port. */
export const isListed = (url: URL, hosts: readonly string[]): boolean =>
  hosts.includes(url.hostname) || hosts.includes(url.host)

/** For messages: a user, a password or a query may contain a secret. */
function withoutSecrets(text: string): string {
  if (!URL.canParse(text)) return text
  const url = new URL(text)
  const shown = `${url.protocol}//${url.username || url.password ? '***@' : ''}${url.host}`
  return `${shown}${url.pathname}${url.search && '?...'}`
}

const bareHost = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '')

/**
 * Link-local addresses and those of metadata services, which return credentials to any caller inside a cloud:
 * never a model. IPv4 addresses in IPv6 notation are found too.
 */
const GUARDED = new BlockList()
GUARDED.addSubnet('169.254.0.0', 16, 'ipv4')
GUARDED.addSubnet('fe80::', 10, 'ipv6')
GUARDED.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6') // NAT64 of 169.254/16
GUARDED.addAddress('fd00:ec2::254', 'ipv6') // AWS
GUARDED.addAddress('fd20:ce::254', 'ipv6') // Google Cloud
GUARDED.addAddress('100.100.100.200', 'ipv4') // Alibaba Cloud
GUARDED.addAddress('192.0.0.192', 'ipv4') // Oracle Cloud
GUARDED.addAddress('168.63.129.16', 'ipv4') // Azure

/** Whether this is an IP address that a host name must not resolve to. */
export function isGuarded(address: string): boolean {
  const bare = address.replace(/%.*$/, '')
  const version = isIP(bare)
  return version !== 0 && GUARDED.check(bare, version === 4 ? 'ipv4' : 'ipv6')
}

/** Names of metadata services. Their addresses are guarded too, but behind a proxy it is the proxy that looks up. */
const GUARDED_NAMES: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.azure.internal',
  'metadata.tencentyun.com',
])

/** A URL has its host in lower case; a dot at its end changes nothing. */
const isGuardedName = (host: string): boolean => GUARDED_NAMES.has(host.replace(/\.$/, ''))

type LookupAnswer = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void

/** Node's DNS lookup for connections; refuses names that resolve to a guarded address. */
export function guardedLookup(hostname: string, options: LookupOptions, done: LookupAnswer): void {
  lookup(hostname, options, (error, address, family) => {
    const found = error
      ? []
      : typeof address === 'string'
        ? [address]
        : address.map((a) => a.address)
    if (found.some(isGuarded)) done(guardedError(hostname), [])
    else done(error, address, family)
  })
}

const guardedError = (host: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`${host} is a link-local or metadata address`), { code: 'EHOSTUNREACH' })

export type OutgoingInit = Omit<RequestInit, 'redirect' | 'dispatcher'>
export type OutgoingResponse = Response
export type OutgoingPool = Pick<Dispatcher, 'destroy'> & {
  dispatch(options: Omit<Dispatcher.DispatchOptions, 'origin'>, handler: OutgoingHandler): boolean
}
export type OutgoingHandler = Dispatcher.DispatchHandler
export type OutgoingController = Dispatcher.DispatchController

/** Loads the HTTP client. Call it before starting a short time-out, because loading takes as long as one. */
export const loadClient = (): Promise<typeof import('undici')> => import('undici')

/** Idle connections of `outgoingFetch`, which do not keep the process alive: directly, and by proxy. */
let agent: Agent | undefined
const proxyAgents = new Map<string, ProxyAgent>()

/**
 * `fetch` of a checked address; the IP address is checked again when the name is resolved. Redirects are
 * returned, not followed: the caller must check the new address first. Proxies of the environment are used.
 */
export async function outgoingFetch(
  url: OutgoingUrl,
  init: OutgoingInit = {},
): Promise<OutgoingResponse> {
  const undici = await loadClient()
  const proxy = proxyFor(url, process.env)
  let dispatcher: Dispatcher
  if (proxy) {
    const known = proxyAgents.get(proxy.href)
    dispatcher = known ?? new undici.ProxyAgent({ ...proxyOptions(proxy), proxyTunnel: false })
    if (!known) proxyAgents.set(proxy.href, dispatcher as ProxyAgent)
  } else {
    dispatcher = agent ??= new undici.Agent({ connect: { lookup: guardedLookup } })
  }
  return undici.fetch(url, { ...init, redirect: 'manual', dispatcher })
}

/** Certificates and keys of a connection, as PEM text. */
export interface OutgoingTls {
  /** authorities that are trusted besides Node's own */
  readonly ca?: string | undefined
  /** the client's certificate chain and its key */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly passphrase?: string | undefined
  /** the name that the server's certificate must have, if it is not the host's */
  readonly servername?: string | undefined
}

export interface OutgoingPoolOptions extends Omit<Pool.Options, 'connect' | 'tls'> {
  readonly connectTimeoutMs: number
  readonly tls?: OutgoingTls | undefined
  /** where the proxy settings are; `process.env` by default */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined
}

/**
 * A pool of connections to a checked address, by the environment's proxy if it has one for it; for upstreams
 * it costs a fifth of `fetch`.
 *
 * @throws config_invalid if the proxy's address is wrong
 */
export async function outgoingPool(
  url: OutgoingUrl,
  { connectTimeoutMs, tls, environment = process.env, ...options }: OutgoingPoolOptions,
): Promise<OutgoingPool> {
  const undici = await loadClient()
  const secrets = tls && { ...tls, ...(tls.ca ? { ca: [...rootCertificates, tls.ca] } : {}) }
  const proxy = proxyFor(url, environment)
  if (!proxy) {
    const connect = { timeout: connectTimeoutMs, lookup: guardedLookup, ...secrets }
    return new undici.Pool(url.origin, { ...options, connect } as Pool.Options)
  }
  const agent = new undici.ProxyAgent({
    ...options,
    ...proxyOptions(proxy, connectTimeoutMs),
    // plain HTTP goes to the proxy as a request, TLS through a tunnel, as proxies expect
    proxyTunnel: false,
    ...(secrets ? { requestTls: { timeout: connectTimeoutMs, ...secrets } } : {}),
  } as ProxyAgent.Options)
  const { origin } = url
  return {
    dispatch: (request, handler) => agent.dispatch({ ...request, origin }, handler),
    destroy: agent.destroy.bind(agent),
  }
}

const proxyOptions = (proxy: URL, timeout?: number): ProxyAgent.Options => ({
  uri: proxy.href,
  proxyTls: { lookup: guardedLookup, ...(timeout === undefined ? {} : { timeout }) },
})

/**
 * The proxy that the environment names for an address: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
 * `NO_PROXY`, in lower case first. As in Go, loopback addresses are always asked directly.
 *
 * @throws config_invalid if it is no http, https or socks5 address
 */
export function proxyFor(
  url: URL,
  environment: Readonly<Record<string, string | undefined>>,
): URL | undefined {
  const of = (name: string): string | undefined =>
    environment[name.toLowerCase()] || environment[name] || undefined
  // a CGI script's HTTP_PROXY may come from a request's header
  const cgi = url.protocol === 'http:' && environment.REQUEST_METHOD !== undefined
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const named = cgi ? environment.http_proxy || undefined : of(name)
  const value = named ?? of('ALL_PROXY')
  if (value === undefined || isDirect(url, of('NO_PROXY') ?? '')) return undefined
  const text = /^[a-z][a-z\d+.-]*:\/\//i.test(value) ? value : `http://${value}`
  const where = named === undefined ? 'ALL_PROXY' : name
  const expected = 'the http, https or socks5 address of a proxy'
  if (!URL.canParse(text)) throw new WeirError('config_invalid', { where, expected, got: '***' })
  const proxy = new URL(text)
  if (/^(https?|socks5?):$/.test(proxy.protocol)) return proxy
  throw new WeirError('config_invalid', { where, expected, got: withoutSecrets(text) })
}

/** Whether an address is asked without a proxy: loopback, or listed in `NO_PROXY`. */
function isDirect(url: URL, list: string): boolean {
  const host = bareHost(url).toLowerCase()
  const version = isIP(host)
  if (host === 'localhost' || host.endsWith('.localhost') || host === '::1') return true
  if (version === 4 && host.startsWith('127.')) return true
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => isExcepted(entry, host, version, port))
}

function isExcepted(entry: string, host: string, version: number, port: string): boolean {
  if (entry === '*') return true
  const [, network, bits] = /^\[?([\da-f:.]+)\]?\/(\d+)$/.exec(entry) ?? []
  if (network !== undefined) {
    const family = isIP(network)
    if (family === 0 || family !== version) return false
    const block = new BlockList()
    block.addSubnet(network, Number(bits), family === 4 ? 'ipv4' : 'ipv6')
    return block.check(host, family === 4 ? 'ipv4' : 'ipv6')
  }
  // an IPv6 address has colons that are no port's
  const [, name = entry, only] =
    isIP(entry) === 6 ? [] : (/^\[?(.*?)\]?(?::(\d+))?$/.exec(entry) ?? [])
  if (only !== undefined && only !== port) return false
  const bare = name.replace(/^\*?\./, '')
  return host === bare || (version === 0 && host.endsWith(`.${bare}`))
}

/** A socket for drivers with another protocol (PostgreSQL); it refuses the same addresses. */
export function outgoingSocket(): Socket {
  const socket = new Socket()
  const connect = socket.connect.bind(socket) as (options: SocketConnectOpts) => Socket
  const guarded = (port: number | string, host = 'localhost'): Socket => {
    if (!/^\d+$/.test(String(port))) return connect({ path: String(port) })
    if (isGuarded(host)) return socket.destroy(guardedError(host))
    return connect({ port: Number(port), host, lookup: guardedLookup as never })
  }
  return Object.assign(socket, { connect: guarded as Socket['connect'] })
}
