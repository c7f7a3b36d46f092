import { gzipSync } from 'node:zlib'
import type { Random } from '../../../core/random.ts'

/** Bytes to write to a socket, and how. */
export interface FuzzRequest {
  readonly bytes: Buffer
  /** the connection is cut after the bytes, before any answer */
  readonly cut: boolean
  /** the bytes are sent in two parts with a pause between */
  readonly slow: boolean
}

const PATHS = [
  '/route',
  '/route',
  '/route',
  '/route/batch',
  '/feedback',
  '/v1/models',
  '/metrics',
  '/docs',
  '/ready',
  '/%zz',
  '/../x',
  '/route/',
  '//',
  '/admin/reload',
  '/route?x=1',
  `/${'a'.repeat(3000)}`,
]
const METHODS = [
  'POST',
  'POST',
  'POST',
  'POST',
  'GET',
  'PUT',
  'DELETE',
  'OPTIONS',
  'HEAD',
  'PATCH',
  'BREW',
  'post',
  '',
]
const TYPES = [
  'application/json',
  'application/json',
  'application/json',
  'application/json; charset=utf-8',
  'application/json; charset=utf-16',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/json, text/html',
  '*/*',
  '',
  '\u0000',
]

/** A random value that JSON can or cannot represent, most of them almost a valid request. */
export function fuzzValue(random: Random, depth = 0): unknown {
  const pick = random.int(depth > 3 ? 9 : 13)
  const strings = [
    '',
    ' ',
    'why',
    '\u0000',
    '\ud800',
    '__proto__',
    'constructor',
    'router-mf-',
    'x'.repeat(5000),
    '{{',
    '\u202e',
    '0',
    'NaN',
    '😀',
  ]
  switch (pick) {
    case 0:
      return null
    case 1:
      return random.next() < 0.5
    case 2:
      return Math.round(random.normal() * 10)
    case 3:
      return random.normal() * 1e308
    case 4:
      return [Number.MAX_VALUE, -0, 0.1, 2 ** 53, 1e-320][random.int(5)]
    case 5:
    case 6:
    case 7:
    case 8:
      return strings[random.int(strings.length)]
    case 9:
    case 10:
      return Array.from({ length: random.int(4) }, () => fuzzValue(random, depth + 1))
    default:
      return Object.fromEntries(
        Array.from({ length: random.int(5) }, () => [
          [...FIELDS, ...strings][random.int(FIELDS.length + strings.length)],
          fuzzValue(random, depth + 1),
        ]),
      )
  }
}

const FIELDS = [
  'prompt',
  'messages',
  'system',
  'tools',
  'router',
  'threshold',
  'models',
  'session_id',
  'previous_model',
  'metadata',
  'explain',
  'requests',
  'decision_id',
  'score',
  'role',
  'content',
  'type',
  'text',
]

const GOOD: readonly (() => Record<string, unknown>)[] = [
  () => ({ prompt: 'Prove that sqrt(2) is irrational.' }),
  () => ({
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: 'why?' }] },
    ],
  }),
  () => ({
    prompt: 'x',
    threshold: 0.5,
    models: ['big', 'small'],
    session_id: 's',
    metadata: { a: [1, { b: 2 }] },
    explain: true,
  }),
  () => ({
    requests: [{ prompt: 'a' }, { prompt: '' }, { messages: [{ role: 'user', content: 'b' }] }],
  }),
  () => ({ decision_id: 'd', score: 0.5, source: 'user' }),
]

/** A valid body with some of its fields randomised, removed or added. */
function mutatedBody(random: Random): string {
  const body = GOOD[random.int(GOOD.length)]!()
  for (let i = random.int(3); i > 0; i--) {
    const keys = random.next() < 0.6 ? Object.keys(body) : FIELDS
    const key = keys[random.int(keys.length)]!
    if (random.next() < 0.2) delete body[key]
    else body[key] = fuzzValue(random)
  }
  return JSON.stringify(body)
}

function bodyBytes(random: Random): Buffer {
  const kind = random.int(20)
  if (kind < 11) return Buffer.from(mutatedBody(random))
  if (kind < 13) return Buffer.from(JSON.stringify(fuzzValue(random)) ?? '')
  if (kind === 13) return Buffer.from(`${'['.repeat(random.int(3000))}`)
  if (kind === 14) return Buffer.from('{"prompt":'.repeat(random.int(200)))
  if (kind === 15) return gzipSync(mutatedBody(random))
  if (kind === 16) return Buffer.alloc(0)
  const bytes = Buffer.from(mutatedBody(random))
  for (let i = 1 + random.int(8); i > 0 && bytes.length > 0; i--) {
    bytes[random.int(bytes.length)] = random.int(256)
  }
  return kind === 17 ? bytes.subarray(0, random.int(bytes.length + 1)) : bytes
}

/** One request as bytes: mostly HTTP, some of it with invalid lengths, headers or encoding. */
export function fuzzRequest(random: Random): FuzzRequest {
  const choose = <T>(from: readonly T[]): T => from[random.int(from.length)]!
  if (random.int(50) === 0) {
    const junk = Buffer.from(Array.from({ length: 1 + random.int(300) }, () => random.int(256)))
    return { bytes: junk, cut: random.next() < 0.5, slow: false }
  }
  const body = bodyBytes(random)
  // half of them are well-formed HTTP, so that invalid contents are reached
  if (random.next() < 0.5) return tameRequest(random, body)
  const headers = [`host: ${choose(['127.0.0.1', 'localhost', '', 'a b', 'x'.repeat(300)])}`]
  const type = choose(TYPES)
  if (random.int(20) > 0) headers.push(`content-type: ${type}`)
  const wrong = random.int(30)
  let sent: Buffer = body
  if (wrong === 0) headers.push(`content-length: ${body.length + 10}`)
  else if (wrong === 1) headers.push(`content-length: ${Math.max(0, body.length - 5)}`)
  else if (wrong === 2) headers.push('content-length: -1')
  else if (wrong === 3) headers.push('content-length: 99999999999')
  else if (wrong === 4) headers.push(`content-length: ${body.length}`, 'transfer-encoding: chunked')
  else if (wrong < 8) {
    headers.push('transfer-encoding: chunked')
    sent = Buffer.concat([
      Buffer.from(`${(random.int(10) === 0 ? body.length + 3 : body.length).toString(16)}\r\n`),
      body,
      Buffer.from('\r\n0\r\n\r\n'),
    ])
  } else headers.push(`content-length: ${body.length}`)
  if (random.int(10) === 0) headers.push(`content-encoding: ${choose(['gzip', 'br', 'x'])}`)
  if (random.int(10) === 0)
    headers.push(
      `authorization: ${choose(['Bearer x', 'Bearer ', `Bearer ${'k'.repeat(9000)}`, 'Basic x'])}`,
    )
  if (random.int(15) === 0) headers.push(`expect: ${choose(['100-continue', '200-ok'])}`)
  if (random.int(15) === 0) headers.push('connection: upgrade', 'upgrade: websocket')
  if (random.int(25) === 0) headers.push(`x-${'h'.repeat(random.int(20_000))}: 1`)
  if (random.int(25) === 0) headers.push('bad header without colon')
  const head = `${choose(METHODS)} ${choose(PATHS)} ${choose(['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/9.9', ''])}\r\n${headers.join('\r\n')}\r\n\r\n`
  return {
    bytes: Buffer.concat([Buffer.from(head, 'latin1'), sent]),
    cut: random.int(15) === 0,
    slow: random.int(40) === 0,
  }
}

function tameRequest(random: Random, body: Buffer): FuzzRequest {
  const path = ['/route', '/route', '/route/batch', '/feedback'][random.int(4)]!
  const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
  return { bytes: Buffer.concat([Buffer.from(head), body]), cut: false, slow: false }
}
