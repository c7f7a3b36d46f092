import { setTimeout as pause } from 'node:timers/promises'
import Type from 'typebox'
import Value from 'typebox/value'
import { throwIfAborted } from '../../core/abort.ts'
import { WeirError } from '../../core/errors.ts'
import { type OutgoingResponse, outgoingFetch, outgoingUrl } from '../../core/outgoing.ts'
import type { HubReference } from './reference.ts'

export interface HubOptions {
  /** https://huggingface.co by default */
  readonly endpoint?: string
  readonly token?: string
  readonly signal?: AbortSignal | undefined
  /** waits between tries; uses real time by default */
  readonly sleep?: (milliseconds: number) => Promise<void>
}

export const HUB_ENDPOINT = 'https://huggingface.co'

/**
 * Attempts per request: busy hubs, server errors and broken connections are retried, with doubling pauses.
 */
const TRIES = 6
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 60_000

export interface HubFile {
  readonly path: string
  readonly size: number
}

const Tree = Type.Array(
  Type.Object({ type: Type.String(), path: Type.String(), size: Type.Optional(Type.Number()) }),
)

/** Lists a repository's files under the reference's path, over all result pages. */
export async function listFiles(reference: HubReference, options: HubOptions): Promise<HubFile[]> {
  const { type, repo, revision, path } = reference
  const folder = path === undefined ? '' : `/${encodePath(path)}`
  const base = options.endpoint ?? HUB_ENDPOINT
  let next: string | undefined =
    `${base}/api/${type}/${repo}/tree/${encodeURIComponent(revision)}${folder}?recursive=true`
  const files: HubFile[] = []
  while (next !== undefined) {
    const url: string = next
    const response = await request(url, reference, options)
    const tree: unknown = await response.json().catch(() => undefined)
    if (!Value.Check(Tree, tree)) {
      throw new WeirError('hub_failed', {
        url,
        reason: 'its list of files is not what was expected',
      })
    }
    for (const entry of tree) {
      if (entry.type === 'file') files.push({ path: entry.path, size: entry.size ?? 0 })
    }
    const link: string | undefined = /<([^>]+)>;\s*rel="next"/.exec(
      response.headers.get('link') ?? '',
    )?.[1]
    next = link === undefined ? undefined : new URL(link, url).href
  }
  return files
}

export function fileUrl(reference: HubReference, path: string, options: HubOptions): string {
  const { type, repo, revision } = reference
  const kind = type === 'datasets' ? 'datasets/' : ''
  const base = options.endpoint ?? HUB_ENDPOINT
  return `${base}/${kind}${repo}/resolve/${encodeURIComponent(revision)}/${encodePath(path)}`
}

const encodePath = (path: string): string => path.split('/').map(encodeURIComponent).join('/')

/**
 * One response of the hub, after redirects and retries; the token is sent only to the hub's own address.
 * Throws `hub_denied`, `hub_not_found`, `hub_failed`, or `config_invalid` if it redirects to an address that
 * must not be called.
 */
export async function request(
  url: string,
  reference: HubReference,
  options: HubOptions,
  what: { readonly method?: 'GET' | 'HEAD'; readonly from?: number } = {},
): Promise<
  OutgoingResponse & { readonly linked?: { readonly etag?: string; readonly size?: number } }
> {
  const { signal, sleep = pause } = options
  let wait = FIRST_PAUSE_MS
  for (let left = TRIES - 1; ; left--) {
    throwIfAborted(signal)
    const answer = await follow(url, options, what).catch((error: Error) => error)
    throwIfAborted(signal)
    if (answer instanceof WeirError) throw answer
    if (!(answer instanceof Error) && answer.status < 400) return answer
    if (!(answer instanceof Error)) {
      await answer.body?.cancel()
      refuse(answer.status, url, reference)
    }
    const reason = answer instanceof Error ? messageOf(answer) : `it answered ${answer.status}`
    if (left === 0) {
      const cause = answer instanceof Error ? answer : undefined
      throw new WeirError('hub_failed', { url, reason: `${reason} (${TRIES} tries)` }, { cause })
    }
    const asked =
      answer instanceof Error ? undefined : retryAfter(answer.headers.get('retry-after'))
    await sleep(Math.min(LONGEST_PAUSE_MS, asked ?? wait))
    wait *= 2
  }
}

/** Throws for responses that a retry would not change. */
function refuse(status: number, url: string, { repo }: HubReference): void {
  if (status === 401 || status === 403) throw new WeirError('hub_denied', { url, status, repo })
  if (status === 404) throw new WeirError('hub_not_found', { url, what: `file of ${repo}` })
  if (status < 500 && status !== 429 && status !== 408) {
    throw new WeirError('hub_failed', { url, reason: `it answered ${status}` })
  }
}

async function follow(
  url: string,
  { endpoint = HUB_ENDPOINT, token, signal }: HubOptions,
  { method = 'GET', from = 0 }: { readonly method?: 'GET' | 'HEAD'; readonly from?: number },
) {
  let at = url
  let linked: { etag?: string; size?: number } | undefined
  for (let hops = 0; hops < 8; hops++) {
    const address = outgoingUrl(at, 'the address of the hub', { query: true })
    const own = address.origin === new URL(endpoint).origin
    const response = await outgoingFetch(address, {
      method,
      headers: {
        ...(token && own && { authorization: `Bearer ${token}` }),
        ...(from > 0 && { range: `bytes=${from}-` }),
        'accept-encoding': 'identity',
      },
      ...(signal && { signal }),
    })
    // The file's identity comes from the hub, not from the storage host that it redirects to.
    const etag = response.headers.get('x-linked-etag')
    const size = response.headers.get('x-linked-size')
    if (etag !== null) linked = { etag, ...(size !== null && { size: Number(size) }) }
    const location = response.headers.get('location')
    // A HEAD only needs the file's identity, not its location.
    const told = method === 'HEAD' && linked !== undefined
    if (told || response.status < 300 || response.status >= 400 || location === null) {
      return Object.assign(response, linked && { linked })
    }
    await response.body?.cancel()
    at = new URL(location, at).href
  }
  throw new Error('too many redirects')
}

/** Parses seconds or a date, to milliseconds from now. */
function retryAfter(value: string | null): number | undefined {
  if (value === null) return undefined
  const seconds = Number(value)
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000)
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now())
}

function messageOf(error: Error): string {
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error.message}${cause}`
}
