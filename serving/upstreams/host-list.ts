import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import { isIP } from 'node:net'
import { WeirError } from '../../core/errors.ts'

/**
 * The base URL of an upstream. Requests cannot name one: it comes from the configuration alone, and where
 * `allowed` lists hosts it must be one of them, so that a changed file cannot send prompts elsewhere.
 *
 * @throws config_invalid
 */
export function upstreamUrl(
  baseUrl: string,
  where: string,
  allowed: readonly string[] | undefined,
): URL {
  const invalid = (expected: string): WeirError =>
    new WeirError('config_invalid', { where, expected, got: baseUrl })
  const url = URL.parse ? URL.parse(baseUrl) : URL.canParse(baseUrl) ? new URL(baseUrl) : null
  if (!url || !/^https?:$/.test(url.protocol)) throw invalid('an http or https URL')
  if (url.username || url.password) throw invalid('no user or password (keys come by key_env)')
  if (url.search || url.hash) throw invalid('a URL without query or fragment')
  if (allowed && !allowed.includes(url.hostname) && !allowed.includes(url.host)) {
    throw invalid(`a host of allow_hosts (${allowed.join(', ')})`)
  }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && linkLocal(host) && !allowed) {
    throw invalid(
      'no link-local address, where clouds keep credentials, unless allow_hosts names it',
    )
  }
  return url
}

/** 169.254/16 and fe80::/10: metadata services, never a model. */
export function linkLocal(address: string): boolean {
  const bare = address.toLowerCase().replace(/^::ffff:/, '')
  return bare.startsWith('169.254.') || /^fe[89ab]/.test(bare) || bare === 'fd00:ec2::254'
}

type LookupAnswer = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void

/** Node's look-up, for connections: a name that has come to mean a link-local address is not connected to. */
export function guardedLookup(hostname: string, options: LookupOptions, done: LookupAnswer): void {
  lookup(hostname, options, (error, address, family) => {
    const found = error
      ? []
      : typeof address === 'string'
        ? [address]
        : address.map((a) => a.address)
    if (found.some(linkLocal)) {
      done(
        Object.assign(new Error(`${hostname} is a link-local address`), { code: 'EHOSTUNREACH' }),
        [],
      )
      return
    }
    done(error, address, family)
  })
}
