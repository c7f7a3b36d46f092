import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { BytesHeld } from '../../core/bytes-held.ts'
import { WeirError } from '../../core/errors.ts'
import { BODY_LIMIT, decodeBody, parseJsonBody } from '../../core/json/body.ts'
import { LargeJsonReader } from '../../core/json/large.ts'

/** Largest body of the gateway's endpoints in bytes: images come as base64. */
export const DEFAULT_GATEWAY_BODY = 64 * 1024 * 1024
/** Most bytes of bodies that are held in memory at a time. */
const DEFAULT_BODIES_IN_FLIGHT = 256 * 1024 * 1024

/** The bytes of bodies in memory, from their first packet until they are answered. */
export const bodyMemory = (most: number = DEFAULT_BODIES_IN_FLIGHT): BytesHeld =>
  new BytesHeld(most, 'request bodies')
/** Bodies below this are not counted: the number of requests under way bounds them. */
const COUNTED = 64 * 1024
/** Bodies above this are read in a thread, so that others are answered meanwhile. */
const LARGE = 1024 * 1024
const DECOMPRESS: Readonly<
  Record<string, (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>>
> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
}

declare module 'fastify' {
  interface FastifyRequest {
    bodyClaim: BodyClaim | null
  }
  interface FastifyInstance {
    bodyMemory: BytesHeld
    largeBodies: LargeJsonReader
  }
}

/** Reads JSON bodies, each up to its route's `bodyLimit`, compressed ones too. */
export function addJsonBodies(app: FastifyInstance, memory: BytesHeld): void {
  app.decorate('bodyMemory', memory)
  const reader = new LargeJsonReader()
  app.decorate('largeBodies', reader)
  app.addHook('onClose', () => reader.close())
  app.addContentTypeParser('application/json', (request, payload, done) => {
    readBody(request, payload as unknown as Readable, memory, (error, bytes) => {
      if (error) {
        done(error)
        return
      }
      if (!readInThread(bytes!) && request.headers['content-encoding'] === undefined) {
        try {
          request.bodyText = decodeBody(bytes!)
          done(null, parseJsonBody(request.bodyText))
        } catch (fault) {
          done(fault as Error)
        }
        return
      }
      parsed(request, bytes!).then((body) => done(null, body), done)
    })
  })
}

/** The bytes of a body, up to its route's `bodyLimit`. @throws body_too_large, overloaded */
export const collectBody = (request: FastifyRequest, payload: Readable): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    readBody(request, payload, request.server.bodyMemory, (error, bytes) => {
      if (error) reject(error)
      else resolve(bytes!)
    })
  })

/** A JSON body where a route reads its own; undefined if it is empty. @throws as parsing does */
export async function readJson(request: FastifyRequest, payload: Readable): Promise<unknown> {
  const bytes = await collectBody(request, payload)
  return bytes.length === 0 ? undefined : parsed(request, bytes)
}

/** Bytes whose quotes are counted, and the most quotes in them of a body with long strings. */
const PROBE = 64 * 1024
const MOST_QUOTES = PROBE / 64

/**
 * Whether a body is read in a thread. One of nothing but short strings has to be parsed here in any case, so that
 * the thread would only add to its cost.
 */
function readInThread(bytes: Buffer): boolean {
  if (bytes.length <= LARGE) return false
  if (bytes.length > BODY_LIMIT) return true
  let quotes = 0
  for (let i = 0; i < PROBE; i++) if (bytes[i] === 0x22) quotes++
  return quotes <= MOST_QUOTES
}

async function parsed(request: FastifyRequest, bytes: Buffer): Promise<unknown> {
  const plain = await decompressed(request, bytes)
  if (!readInThread(plain)) {
    request.bodyText = decodeBody(plain)
    return parseJsonBody(request.bodyText)
  }
  const text = await request.server.largeBodies.read(plain)
  request.bodyText = text
  return text.value()
}

async function decompressed(request: FastifyRequest, bytes: Buffer): Promise<Buffer> {
  const coding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (coding === 'identity') return bytes
  const decompress = Object.hasOwn(DECOMPRESS, coding) ? DECOMPRESS[coding] : undefined
  if (!decompress) {
    throw new WeirError('content_encoding_invalid', {
      expected: Object.keys(DECOMPRESS).join(', '),
      got: coding,
    })
  }
  const limit = request.routeOptions.bodyLimit!
  try {
    return await decompress(bytes, { maxOutputLength: limit })
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ERR_BUFFER_TOO_LARGE') throw new WeirError('body_too_large', { limit }, { cause })
    throw new WeirError(
      'request_invalid',
      { where: 'body', expected: coding, got: message },
      { cause },
    )
  }
}

/** What one request's body holds of the memory. */
export interface BodyClaim {
  bytes: number
}

/**
 * Counts the body of a request before it is read; released when the request has been answered.
 *
 * @throws overloaded
 */
export function claimBody(request: FastifyRequest, reply: FastifyReply, memory: BytesHeld): void {
  if (request.routeOptions.config.streamed) return
  const declared = request.headers['content-length']
  if (declared !== undefined && Number(declared) < COUNTED) return
  if (declared === undefined && request.headers['transfer-encoding'] === undefined) return
  const length = Number(declared ?? 0)
  // one that is too large is not kept
  const bytes = length > request.routeOptions.bodyLimit! ? 0 : length
  memory.take(bytes)
  const claim = { bytes }
  request.bodyClaim = claim
  reply.raw.once('close', () => memory.release(claim.bytes))
}

/**
 * Reads a body. One that is too large is read to its end and forgotten: a client that still sends sees a
 * broken connection rather than the refusal, and sends it all again.
 */
function readBody(
  request: FastifyRequest,
  payload: Readable,
  memory: BytesHeld,
  done: (error: Error | undefined, bytes?: Buffer) => void,
): void {
  const limit = request.routeOptions.bodyLimit!
  const claim = request.bodyClaim
  const declared = Number(request.headers['content-length'])
  // filled as it comes: joining many parts at the end takes long
  const whole = declared > LARGE && declared <= limit ? Buffer.allocUnsafeSlow(declared) : undefined
  let parts: Buffer[] = []
  let size = 0
  let fault: Error | undefined
  payload.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (fault) return
    try {
      if (size > limit) throw new WeirError('body_too_large', { limit })
      if (claim && size > claim.bytes) {
        memory.take(size - claim.bytes)
        claim.bytes = size
      }
      if (whole) chunk.copy(whole, size - chunk.length)
      else parts.push(chunk)
    } catch (error) {
      fault = error as Error
      parts = []
    }
  })
  // each comes once: `once` would wrap the listener
  payload.on('end', () => {
    if (whole && size !== whole.length && !fault) {
      const got = `${size} bytes`
      const expected = `${whole.length} bytes, as content-length says`
      fault = new WeirError('request_invalid', { where: 'body', expected, got })
    }
    if (fault) done(fault)
    else done(undefined, whole ?? (parts.length === 1 ? parts[0]! : Buffer.concat(parts)))
  })
  payload.on('error', (cause) => {
    const got = `${size} bytes, then the connection broke`
    done(
      fault ??
        new WeirError('request_invalid', { where: 'body', expected: 'its end', got }, { cause }),
    )
  })
}
