import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readSources } from '../../scripts/structure.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** What opens a connection. Types may be imported, and servers may listen. */
const OPENERS: readonly (readonly [what: string, code: RegExp])[] = [
  // as a call or a value, not as a property of something else
  [
    'fetch',
    /(=|\?|:|\(|,|&&|\|\||\bawait|\breturn|=>)\s*fetch\s*([(;,)]|$)|\bglobalThis\s*(\.|\[\s*')\s*fetch\b/m,
  ],
  ['WebSocket, EventSource', /\bnew\s+(WebSocket|EventSource)\b/],
  ['undici', /import\(\s*'undici'\s*\)|^import\s+(?!type\b)[^;]*?'undici'/m],
  ['https, http2, tls, dgram', /['"](node:)?(https|http2|tls|dgram)['"]/],
  [
    'http',
    /^import\s+(?!type\b)(?!\{\s*(type\s+\w+,?\s*|createServer,?\s*)+\}\s*from)[^;\n]*?'(node:)?http'/m,
  ],
  [
    'net',
    /^import\s+(?!type\b)(?!\{\s*(type\s+\w+,?\s*|createServer,?\s*|isIP,?\s*)+\}\s*from)[^;\n]*?'(node:)?net'/m,
  ],
  ['http or net, later', /(import|require)\(\s*'(node:)?(http|net)'\s*\)/],
  ['pg', /import\(\s*'pg'\s*\)|^import\s+(?!type\b)[^;]*?'pg'/m],
  ['an HTTP client', /(from|import\()\s*'(axios|got|node-fetch|ky|superagent|request)'/],
]

/** Who may, and why. */
const EXEMPT: readonly (readonly [file: RegExp, why: string])[] = [
  [/^core\/outgoing\.ts$/, 'opens every call'],
  [
    /^serving\/client\.ts$/,
    'the client library: it runs in its user’s process, which gives the address',
  ],
  [/^console\//, 'runs in a browser, and asks the server that served it'],
  [/^scripts\/(bench|demo|eval)\//, 'ask the servers that they have started themselves'],
]

function openersIn(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '')
  return OPENERS.filter(([, pattern]) => pattern.test(code)).map(([what]) => what)
}

describe('outgoing calls', () => {
  it('are opened in core/outgoing.ts alone', () => {
    const found = [...readSources(ROOT).keys()]
      .filter((file) => !EXEMPT.some(([exempt]) => exempt.test(file)))
      .flatMap((file) =>
        openersIn(readFileSync(join(ROOT, file), 'utf8')).map((what) => `${file}: ${what}`),
      )
      // the driver connects by the socket that it is given, as the next test sees
      .filter((line) => line !== 'records/postgres.ts: pg')
    expect(found).toEqual([])
  })

  it('of the PostgreSQL driver go over a guarded socket', () => {
    const text = readFileSync(join(ROOT, 'records/postgres.ts'), 'utf8')
    expect(text.match(/new pg\b/g)).toHaveLength(1)
    expect(text).toContain('stream: outgoingSocket')
  })

  it.each([
    'await fetch(url)',
    'const send = options.fetch ?? fetch',
    'globalThis.fetch(url)',
    "const { Pool } = await import('undici')",
    "import { request } from 'node:http'",
    "import { createServer, get } from 'node:http'",
    "import { connect } from 'node:net'",
    "import https from 'node:https'",
    "import { connect } from 'node:tls'",
    "import { Client } from 'pg'",
    "const { request } = await import('node:http')",
    'new WebSocket(url)',
  ])('%s is noticed', (code) => {
    expect(openersIn(code)).toHaveLength(1)
  })

  it.each([
    "import { createServer } from 'node:http'",
    "import { type AddressInfo, isIP, type Socket } from 'node:net'",
    "import type { ServerResponse } from 'node:http'",
    "import type { Pool } from 'pg'",
    'outgoingFetch(url)',
    "import { fetchCommand } from './fetch.ts'",
    'function request(): void {}',
    '// a fifth of what fetch does',
  ])('%s may stand', (code) => {
    expect(openersIn(code)).toEqual([])
  })
})
