import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compileContents } from '../../../serving/policy/privacy.ts'
import { FORWARDED } from '../../../serving/upstreams/upstream.ts'
import { type GatewayApp, gatewayApp } from '../gateway/gateway-app.ts'

const POLICY = `version: 1
models: { small: { private: true }, big: {} }
privacy: { patterns: ['PROJECT-\\d+'], detect: true }
default: big
`
/** A body for each endpoint that goes upstream, with a text where its clients put theirs. */
const BODIES: Record<string, (text: string) => object> = {
  '/v1/chat/completions': (text) => ({ messages: [{ role: 'user', content: text }] }),
  '/v1/responses': (text) => ({
    input: [{ role: 'user', content: [{ type: 'input_text', text }] }],
  }),
  '/v1/messages': (text) => ({
    messages: [{ role: 'user', content: [{ type: 'text', text }] }],
  }),
  '/v1/embeddings': (text) => ({ input: [text] }),
  '/v1/responses/*': (text) => ({ input: text }),
}
for (const name of FORWARDED) {
  BODIES[`/v1/${name}`] = (text) => ({ prompt: text })
  BODIES[`/v1/${name}/*`] = (text) => ({ input: { text } })
}

let root: string
let gateway: GatewayApp
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-privacy-'))
  const path = join(root, 'policy.yaml')
  await writeFile(path, POLICY)
  gateway = await gatewayApp({ policy: path })
})
afterAll(async () => {
  await gateway.close()
  await rm(root, { recursive: true })
})

/** What the model `big`, which is not private, was sent. */
const sent = async (url: string, body: object): Promise<{ text: string; status: number }> => {
  gateway.big.received.length = 0
  const { statusCode } = await gateway.app.inject({
    method: 'POST',
    url: url.replace('*', 'x'),
    payload: { model: 'big', ...body },
  })
  return { text: JSON.stringify(gateway.big.received), status: statusCode }
}

test('every endpoint that goes upstream has its case here', async () => {
  const served = gateway.app.printRoutes({ commonPrefix: false, includeHooks: false })
  const paths: string[] = []
  const open: string[] = []
  for (const line of served.split('\n')) {
    const found = /^([│ ]*)[├└]── (\S+)(?: \(([^)]*)\))?/u.exec(line)
    if (!found) continue
    const [, indent = '', part = '', methods] = found
    open.length = indent.length / 4
    open.push(part)
    if (methods?.includes('POST')) paths.push(open.join('').replace(/\/?\*$/, '/*'))
  }
  // tokens are counted here, unless the model is behind Anthropic's API
  const upstream = paths.filter((path) => path.startsWith('/v1/') && !path.endsWith('count_tokens'))
  expect(upstream.sort()).toEqual(Object.keys(BODIES).sort())
})

test.each(Object.entries(BODIES))(
  '%s keeps what is sensitive from other models',
  async (url, body) => {
    expect((await sent(url, body('about the weather'))).text).toContain('weather')
    for (const text of [
      'about PROJECT-17',
      'data: project-17',
      'ＰＲＯＪＥＣＴ-17',
      'PRO\u200bJECT-17',
    ]) {
      expect(await sent(url, body(text))).toEqual({ text: '[]', status: 403 })
    }
    for (const more of [{ user: 'ann@example.org' }, { metadata: { 'PROJECT-17': '' } }]) {
      expect(await sent(url, { ...body('hello'), ...more })).toEqual({ text: '[]', status: 403 })
    }
  },
)

test.each(Object.entries(BODIES))(
  '%s keeps it in where it is within a long text',
  async (url, body) => {
    const long = 'about the weather, and so on '.repeat(10_000)
    expect((await sent(url, body(long))).text).toContain('weather')
    for (const text of ['PROJECT-17', 'ann@example.org', 'ＰＲＯＪＥＣＴ-17']) {
      expect(await sent(url, body(`${long}${text} ${long}`))).toEqual({ text: '[]', status: 403 })
    }
  },
)

test('others are served while a long text is read', async () => {
  const url = '/v1/chat/completions'
  const body = BODIES[url]!('about the weather, and so on '.repeat(120_000))
  const before = performance.now()
  expect(compileContents({ detect: true })!({ ...body })).toBe(false)
  const whole = performance.now() - before
  // the least of some: a busy machine adds to any one
  let least = Infinity
  for (let i = 0; i < 5 && least > whole / 2; i++) {
    let longest = 0
    let last = performance.now()
    let over = false
    const turn = (): void => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
      if (!over) setImmediate(turn)
    }
    setImmediate(turn)
    expect((await sent(url, body)).status).toBe(200)
    over = true
    least = Math.min(least, longest)
  }
  expect(least).toBeLessThan(whole / 2)
})
