import { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { WeirError } from '../../../core/errors.ts'
import { outgoingFetch, outgoingUrl } from '../../../core/outgoing.ts'
import { unavailable } from './http.ts'
import type { Objects } from './objects.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Where buckets are, if not at AWS. */
export const s3Endpoint = (environment: Environment): string | undefined =>
  environment.AWS_ENDPOINT_URL_S3 || environment.AWS_ENDPOINT_URL

/** What the SDK hands to what sends a request. */
interface SdkRequest {
  readonly method: string
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
}

/** Set by the connection itself. */
const OWN_HEADERS = new Set(['host', 'content-length', 'connection', 'expect', 'transfer-encoding'])

/**
 * Objects of an S3 bucket, by the AWS SDK (an optional peer, loaded only here), whose requests go through
 * `outgoingFetch`. Region, keys and endpoint are the SDK's (`AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL_S3`).
 *
 * @throws module_missing
 */
export function s3Objects(bucket: string, prefix: string, environment: Environment): Objects {
  let opened: Promise<{ sdk: typeof import('@aws-sdk/client-s3'); client: S3Client }> | undefined
  const open = () => {
    opened ??= openClient(environment)
    return opened
  }
  const url = `s3://${bucket}/${prefix}`
  const failed = (key: string, error: unknown): WeirError => {
    if (error instanceof WeirError) return error
    const { name, message, cause } = error as Error & { cause?: { code?: string } }
    const reason = cause?.code ?? (message && message !== name ? `${name}: ${message}` : name)
    return unavailable(`s3://${bucket}/${key}`, reason, error)
  }
  return {
    url,
    async get(name, signal) {
      const Key = `${prefix}/${name}`
      const { sdk, client } = await open()
      try {
        const input = new sdk.GetObjectCommand({ Bucket: bucket, Key })
        const { Body } = await client.send(input, { ...(signal && { abortSignal: signal }) })
        return (Body ?? []) as AsyncIterable<Uint8Array>
      } catch (error) {
        const { name: kind } = error as Error
        if (kind === 'NoSuchKey' || kind === 'NotFound') return undefined
        throw failed(Key, error)
      }
    },
    async put(name, bytes, signal) {
      const Key = `${prefix}/${name}`
      const { sdk, client } = await open()
      const ContentType = name.endsWith('.json') ? 'application/json' : 'application/octet-stream'
      try {
        const input = new sdk.PutObjectCommand({ Bucket: bucket, Key, Body: bytes, ContentType })
        await client.send(input, { ...(signal && { abortSignal: signal }) })
      } catch (error) {
        throw failed(Key, error)
      }
    },
    async remove(name, signal) {
      const Key = `${prefix}/${name}`
      const { sdk, client } = await open()
      try {
        const input = new sdk.DeleteObjectCommand({ Bucket: bucket, Key })
        await client.send(input, { ...(signal && { abortSignal: signal }) })
      } catch (error) {
        throw failed(Key, error)
      }
    },
  }
}

async function openClient(environment: Environment) {
  const sdk = await import('@aws-sdk/client-s3').catch((cause: unknown) => {
    const reason = 'npm i @aws-sdk/client-s3'
    const facts = { what: 's3://', module: '@aws-sdk/client-s3', reason }
    throw new WeirError('module_missing', facts, { cause })
  })
  const {
    AWS_ACCESS_KEY_ID: id,
    AWS_SECRET_ACCESS_KEY: secret,
    AWS_SESSION_TOKEN: token,
  } = environment
  const endpoint = s3Endpoint(environment)
  const client = new sdk.S3Client({
    region: environment.AWS_REGION ?? environment.AWS_DEFAULT_REGION ?? 'us-east-1',
    // else the SDK looks in its files, and asks the cloud that it runs in
    ...(id && secret
      ? {
          credentials: {
            accessKeyId: id,
            secretAccessKey: secret,
            ...(token && { sessionToken: token }),
          },
        }
      : {}),
    // other services than AWS's keep buckets in the path, and not all know its newer checksums
    ...(endpoint ? { endpoint, forcePathStyle: true } : {}),
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      handle: send,
      updateHttpClientConfig: () => {},
      httpHandlerConfigs: () => ({}),
    },
  })
  return { sdk, client }
}

/** Sends a request that the SDK has signed. */
async function send(request: SdkRequest, { abortSignal }: { readonly abortSignal?: unknown } = {}) {
  const { method, protocol, hostname, port, path, query = {}, headers, body } = request
  const url = new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`)
  for (const [name, value] of Object.entries(query)) {
    for (const one of value === null ? [''] : [value].flat()) url.searchParams.append(name, one)
  }
  const response = await outgoingFetch(outgoingUrl(url.href, 's3', { query: true }), {
    method,
    headers: Object.fromEntries(
      Object.entries(headers).filter(([name]) => !OWN_HEADERS.has(name.toLowerCase())),
    ),
    ...(body !== undefined && method !== 'GET' && method !== 'HEAD' && { body }),
    ...(abortSignal instanceof AbortSignal && { signal: abortSignal }),
  })
  return {
    response: {
      statusCode: response.status,
      reason: response.statusText,
      headers: Object.fromEntries(response.headers),
      body: response.body ? Readable.fromWeb(response.body as never) : undefined,
    },
  }
}
