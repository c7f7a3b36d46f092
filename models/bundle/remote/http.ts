import { setTimeout as pause } from 'node:timers/promises'
import { throwIfAborted } from '../../../core/abort.ts'
import { WeirError } from '../../../core/errors.ts'
import {
  type OutgoingInit,
  type OutgoingResponse,
  outgoingFetch,
  outgoingUrl,
} from '../../../core/outgoing.ts'

export interface RemoteCall {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT'
  readonly headers?: Readonly<Record<string, string>>
  /** sent to the address's own origin only, never to one that it redirects to */
  readonly authorization?: string | undefined
  readonly body?: Uint8Array | string
  readonly signal?: AbortSignal | undefined
}

/** Attempts of a call that changes nothing. */
const TRIES = 3
const FIRST_PAUSE_MS = 100
const MOST_REDIRECTS = 5

/**
 * A response of a place that keeps bundles, after redirects; busy servers and broken connections are asked again.
 * Its status is the caller's to judge.
 *
 * @throws bundle_unavailable, config_invalid for an address that must not be called, cancelled
 */
export async function remoteCall(url: string, call: RemoteCall = {}): Promise<OutgoingResponse> {
  const { method = 'GET', signal } = call
  const repeats = method === 'GET' || method === 'HEAD'
  for (let left = repeats ? TRIES - 1 : 0, wait = FIRST_PAUSE_MS; ; left--, wait *= 2) {
    throwIfAborted(signal)
    const answer = await follow(url, call, repeats).catch((error: Error) => error)
    throwIfAborted(signal)
    if (answer instanceof WeirError) throw answer
    const failed = answer instanceof Error || answer.status >= 500 || answer.status === 429
    if (!failed) return answer as OutgoingResponse
    if (left === 0) {
      if (!(answer instanceof Error)) return answer
      throw unavailable(url, reasonOf(answer), answer)
    }
    if (!(answer instanceof Error)) await answer.body?.cancel()
    await pause(wait)
  }
}

async function follow(
  url: string,
  { method = 'GET', headers, authorization, body, signal }: RemoteCall,
  follows: boolean,
): Promise<OutgoingResponse> {
  let at = url
  const { origin, protocol } = new URL(url)
  for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
    const address = outgoingUrl(at, `the address of a bundle (${shownAddress(url)})`, {
      query: true,
    })
    const init: OutgoingInit = {
      method,
      headers: {
        ...headers,
        ...(authorization !== undefined && address.origin === origin && { authorization }),
      },
      ...(body !== undefined && { body }),
      ...(signal && { signal }),
    }
    const response = await outgoingFetch(address, init)
    const location = response.headers.get('location')
    if (!follows || response.status < 300 || response.status >= 400 || location === null)
      return response
    await response.body?.cancel()
    const next = new URL(location, at)
    if (protocol === 'https:' && next.protocol !== 'https:') {
      throw unavailable(url, 'it redirects to an address without TLS')
    }
    at = next.href
  }
  throw unavailable(url, `it redirects more than ${MOST_REDIRECTS} times`)
}

/** The bytes of a response, of which there may be at most so many. @throws bundle_unavailable */
export async function bytesOf(
  chunks: AsyncIterable<Uint8Array>,
  url: string,
  maxBytes: number,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  try {
    for await (const part of chunks) {
      length += part.length
      if (length > maxBytes) throw unavailable(url, `it has more than ${maxBytes} bytes`)
      parts.push(part)
    }
  } catch (error) {
    throw error instanceof WeirError ? error : unavailable(url, reasonOf(error as Error), error)
  }
  return Buffer.concat(parts, length)
}

export const unavailable = (url: string, reason: string, cause?: unknown): WeirError =>
  new WeirError('bundle_unavailable', { url: shownAddress(url), reason }, { cause })

/** What a server of bundles says with an error's status. */
export const statusReason = (status: number): string =>
  status === 401 || status === 403
    ? `it answered ${status}: it wants a key, or another one (docs/several-servers.md)`
    : status === 404
      ? 'it answered 404: nothing is kept there'
      : `it answered ${status}`

/** Signed addresses have secrets in their query. */
const shownAddress = (url: string): string => url.replace(/\?.*$/s, '')

export function reasonOf(error: Error): string {
  const { cause } = error as { cause?: { code?: string; message?: string } }
  return cause?.code ?? (cause?.message || error.message)
}
