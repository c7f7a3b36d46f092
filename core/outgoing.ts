import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import { BlockList, isIP, Socket, type SocketConnectOpts } from 'node:net'
import type { Agent, Dispatcher, Pool, RequestInit, Response } from 'undici'
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
  if (isGuarded(bareHost(url)) && !allowed) {
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
export type OutgoingPool = Pool
export type OutgoingHandler = Dispatcher.DispatchHandler
export type OutgoingController = Dispatcher.DispatchController

/** Loads the HTTP client. Call it before starting a short time-out, because loading takes as long as one. */
export const loadClient = (): Promise<typeof import('undici')> => import('undici')

/** Idle connections of `outgoingFetch`, which do not keep the process alive. */
let agent: Agent | undefined

/**
 * `fetch` of a checked address; the IP address is checked again when the name is resolved. Redirects are
 * returned, not followed: the caller must check the new address first.
 */
export async function outgoingFetch(
  url: OutgoingUrl,
  init: OutgoingInit = {},
): Promise<OutgoingResponse> {
  const undici = await loadClient()
  agent ??= new undici.Agent({ connect: { lookup: guardedLookup } })
  return undici.fetch(url, { ...init, redirect: 'manual', dispatcher: agent })
}

/** A pool of connections to a checked address; for upstreams it costs a fifth of `fetch`. */
export async function outgoingPool(
  url: OutgoingUrl,
  { connectTimeoutMs, ...options }: Omit<Pool.Options, 'connect'> & { connectTimeoutMs: number },
): Promise<OutgoingPool> {
  const undici = await loadClient()
  const connect = { timeout: connectTimeoutMs, lookup: guardedLookup }
  return new undici.Pool(url.origin, { ...options, connect })
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
