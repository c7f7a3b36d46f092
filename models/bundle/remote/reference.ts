import { join } from 'node:path'
import { WeirError } from '../../../core/errors.ts'
import { sha256 } from '../read.ts'

/** Where a bundle is kept, if not in a folder of this machine. */
export type BundleReference = {
  /** as it was written, without the digest */
  readonly text: string
  /** `sha256:HEX`: of the registry's manifest, or of manifest.json elsewhere; whatever else comes is refused */
  readonly digest?: string | undefined
  /** the connection is not encrypted, and leaves this machine */
  readonly plain: boolean
} & (
  | {
      readonly kind: 'oci'
      /** `https://registry.example:5000` */
      readonly origin: string
      readonly repository: string
      readonly tag: string
    }
  | { readonly kind: 'web'; readonly url: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string }
)

const SCHEMES = /^(oci|oci\+http|https?|s3):\/\//i
const REPOSITORY =
  /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

/** Whether this is the address of a bundle that is kept elsewhere. */
export const isRemote = (path: string): boolean => SCHEMES.test(path)

/**
 * Reads `oci://registry/repository:tag`, `https://host/path/NAME` or `s3://bucket/prefix/NAME`, each with or without
 * `@sha256:...`. Registries on this machine are called without TLS, others only as `oci+http://`.
 *
 * @param where the setting that holds it, for the error
 * @throws config_invalid
 */
export function parseReference(text: string, where: string): BundleReference {
  const invalid = (expected: string): WeirError =>
    new WeirError('config_invalid', { where, expected, got: withoutPassword(text) })
  const [, bare = text, digest] = /^(.*)@(sha256:.*)$/s.exec(text) ?? []
  if (digest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw invalid('a digest of 64 hexadecimal digits after @sha256:')
  }
  const scheme = SCHEMES.exec(bare)?.[1]?.toLowerCase()
  if (scheme === undefined || !URL.canParse(bare)) {
    throw invalid(
      'oci://registry/repository:tag, https://host/path/NAME or s3://bucket/prefix/NAME',
    )
  }
  const url = new URL(bare)
  if (url.username || url.password)
    throw invalid('no user or password in it (keys come by key_env)')
  if (url.search || url.hash) throw invalid('an address without query or fragment')
  if (scheme === 's3') {
    const prefix = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, '')
    if (!BUCKET.test(url.host) || prefix === '') throw invalid('s3://bucket/prefix/NAME')
    return { kind: 's3', text: bare, digest, plain: false, bucket: url.host, prefix }
  }
  if (scheme.startsWith('http')) {
    const plain = scheme === 'http' && !isLoopback(url.hostname)
    return { kind: 'web', text: bare, digest, plain, url: bare.replace(/\/+$/, '') }
  }
  const [, host = '', path = ''] = /^[^:]+:\/\/([^/]*)\/(.*)$/.exec(bare) ?? []
  const [, repository = path, tag = 'latest'] = /^(.*):([^:/]*)$/.exec(path) ?? []
  if (!REPOSITORY.test(repository))
    throw invalid('oci://registry/repository with a name in small letters')
  if (!TAG.test(tag)) throw invalid('a tag of letters, digits, _, . and -')
  const local = isLoopback(url.hostname)
  const encrypted = scheme !== 'oci+http' && !local
  return {
    kind: 'oci',
    text: bare,
    digest,
    plain: !encrypted && !local,
    origin: `http${encrypted ? 's' : ''}://${host}`,
    repository,
    tag,
  }
}

/** The folder of a reference in the cache: readable, and another one for each reference. */
export function cacheHome(cache: string, { text, digest }: BundleReference): string {
  const whole = digest === undefined ? text : `${text}@${digest}`
  const shown = text.replace(/^[^:]+:\/\//, '').replace(/[^A-Za-z0-9.-]+/g, '-')
  return join(cache, `${shown.slice(-60).replace(/^[.-]+/, '')}-${sha256(whole).slice(0, 12)}`)
}

/** Whether a URL's host is this machine. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)

const withoutPassword = (text: string): string => text.replace(/\/\/[^/@]*:[^/@]*@/, '//***@')
