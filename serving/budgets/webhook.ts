import { request as httpRequest, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { setTimeout as wait } from 'node:timers/promises'
import { guardedLookup, upstreamUrl } from '../upstreams/host-list.ts'

const ATTEMPTS = 5
const FIRST_WAIT_MS = 1000
const TIMEOUT_MS = 5000

export interface WebhookOptions {
  readonly signal: AbortSignal
  /** milliseconds before the first retry, doubled each time */
  readonly waitMs?: number
}

/**
 * Where alerts may be sent: as an upstream's base URL, held to the same hosts; a query is allowed, as some
 * services keep a token there.
 *
 * @throws config_invalid
 */
export function webhookUrl(
  text: string,
  where: string,
  allowed: readonly string[] | undefined,
): URL {
  upstreamUrl(text.replace(/\?[^#]*/, ''), where, allowed)
  return new URL(text)
}

/** Posts JSON until a 2xx comes, a few times. Redirects are not followed. @throws the last failure */
export async function postWebhook(
  url: URL,
  value: unknown,
  { signal, waitMs = FIRST_WAIT_MS }: WebhookOptions,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await post(url, JSON.stringify(value), signal)
    } catch (error) {
      if (attempt >= ATTEMPTS || signal.aborted) throw error
      await wait(waitMs * 2 ** (attempt - 1), undefined, { signal, ref: false })
    }
  }
}

function post(url: URL, text: string, signal: AbortSignal): Promise<void> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const request = send(
      url,
      {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
        lookup: guardedLookup as NonNullable<RequestOptions['lookup']>,
        agent: false,
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      },
      (response) => {
        response.resume()
        const { statusCode = 0 } = response
        // its words and address may hold a token
        if (statusCode >= 200 && statusCode < 300) resolve()
        else reject(new Error(`HTTP ${statusCode}`))
      },
    )
    request.on('error', reject)
    request.end(text)
  })
}
