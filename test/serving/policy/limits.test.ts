import { describe, expect, it } from 'vitest'
import type { GatewayRequest, Plan } from '../../../serving/gateway/contracts.ts'
import { checkPolicy } from '../../../serving/policy/check.ts'
import { createPolicy } from '../../../serving/policy/pipeline.ts'
import type { PolicyServices } from '../../../serving/policy/step.ts'
import { fakeRouter, requestOf } from '../../../testing/step-contract.ts'

const FILE = `version: 1
models:
  big: { context: 1000, vision: true, tools: true }
  small: { context: 200 }
  inside: { private: true, context: 100000, tools: true }
keys: { intern: { models: [small] } }
privacy: { tags: [secret], detect: true, patterns: ['PROJECT-\\d+'] }
default: big`

const plan = (
  body: Partial<GatewayRequest['body']>,
  more: Partial<GatewayRequest> = {},
  needs: PolicyServices = {},
  file = FILE,
): Promise<Plan> => {
  const request = requestOf({ text: 'hello', ...more })
  return createPolicy(checkPolicy(file, 'p.yaml'), needs).plan(
    { ...request, body: { ...request.body, ...body } },
    { signal: new AbortController().signal, send: () => Promise.reject(new Error('asked')) },
  )
}
const first = (made: Plan): string =>
  made.kind === 'serve' ? made.targets[0]!.model : `${made.status ?? 403}`
const said = (content: string): Partial<GatewayRequest['body']> => ({
  messages: [{ role: 'user', content }],
})

const dataUrl = (text: string): string =>
  `data:text/plain;base64,${Buffer.from(text).toString('base64')}`

describe('hard limits', () => {
  it('keep what is sensitive inside, wherever in the body it stands', async () => {
    expect(first(await plan(said('hello')))).toBe('big')
    expect(first(await plan(said('mail ann@example.org')))).toBe('inside')
    expect(first(await plan(said('about PROJECT-17')))).toBe('inside')
    const asArgument = {
      messages: [
        { role: 'user', content: 'send it' },
        {
          role: 'assistant',
          tool_calls: [
            { id: 'c', function: { name: 'send', arguments: '{"to":"ann@example.org"}' } },
          ],
        },
      ],
    }
    expect(first(await plan(asArgument))).toBe('inside')
    const asSchema = { response_format: { json_schema: { description: 'of PROJECT-17' } } }
    expect(first(await plan(asSchema))).toBe('inside')
    const asFile = [{ type: 'file', file: { filename: 'PROJECT-17.txt' } }]
    expect(first(await plan({ messages: [{ role: 'user', content: asFile }] }))).toBe('inside')
  })

  const hidden: Record<string, Partial<GatewayRequest['body']>> = {
    'a text that begins with data:': said('data: PROJECT-17'),
    'a file name in a data URL': {
      messages: [
        { role: 'user', content: [{ type: 'file', file: { file_data: dataUrl('PROJECT-17') } }] },
      ],
    },
    user: { user: 'ann@example.org' },
    'the id of a call': {
      messages: [{ role: 'tool', tool_call_id: 'PROJECT-17', content: 'done' }],
    },
    'a role': { messages: [{ role: 'PROJECT-17', content: 'hello' }] },
    'the name of a field': { metadata: { 'PROJECT-17': 'x' } },
    'a number': { metadata: { card: 4111111111111111 } },
    'two parts': {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'about PROJ' },
            { type: 'text', text: 'ECT-17' },
          ],
        },
      ],
    },
    'two messages': {
      messages: [
        { role: 'user', content: 'about PROJ' },
        { role: 'user', content: 'ECT-17' },
      ],
    },
    'two messages around an answer': {
      messages: [
        { role: 'user', content: 'about PROJ' },
        { role: 'assistant', content: 'go on' },
        { role: 'user', content: 'ECT-17' },
      ],
    },
    'zero-width characters': said('PRO\u200bJECT\u00ad-17'),
    'full-width letters': said('ＰＲＯＪＥＣＴ－１７'),
    'small letters': said('project-17'),
    'escapes in arguments': {
      messages: [
        {
          role: 'assistant',
          tool_calls: [{ id: 'c', function: { name: 'f', arguments: '{"a":"\\u0050ROJECT-17"}' } }],
        },
      ],
    },
  }
  it.each(Object.entries(hidden))('find what is sensitive in %s', async (_, body) => {
    expect(first(await plan(body))).toBe('inside')
  })

  it('take the protocol’s own words for nobody’s', async () => {
    const policy = FILE.replace("'PROJECT-\\d+'", 'content, assistant, text, image_url, function')
    const body = { messages: [{ role: 'assistant', content: [{ type: 'text', text: 'hello' }] }] }
    expect(first(await plan(body, {}, {}, policy))).toBe('big')
  })

  it('pass what they cannot read, or keep it inside where the file says so', async () => {
    const image = [
      { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(400)}` } },
    ]
    const seen = { messages: [{ role: 'user', content: image }] }
    const strict = FILE.replace('detect: true', 'detect: true, unreadable: private').replace(
      'private: true,',
      'private: true, vision: true,',
    )
    expect(first(await plan(seen))).toBe('big')
    expect(first(await plan(seen, {}, {}, strict))).toBe('inside')
    expect(first(await plan({}, {}, {}, strict))).toBe('big')
    const kept = { previous_response_id: 'resp_1' }
    expect(first(await plan(kept, {}, {}, strict))).toBe('inside')
  })

  it('close models to what is too long for them, answer and all', async () => {
    expect(first(await plan({ max_tokens: 2000 }))).toBe('inside')
    expect(first(await plan({ max_tokens: 2000 }, { hints: { models: ['big', 'small'] } }))).toBe(
      '403',
    )
    expect(first(await plan({ model: 'small', max_tokens: 2000 }))).toBe('413')
  })

  it('close models that cannot see or call tools', async () => {
    const image = [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }]
    const seen = { messages: [{ role: 'user', content: image }] }
    expect(first(await plan({ ...seen, model: 'small' }))).toBe('400')
    expect(first(await plan(seen))).toBe('big')
    const tools = [{ type: 'function', function: { name: 'f' } }]
    expect(first(await plan({ tools, model: 'small' }))).toBe('400')
    expect(first(await plan({ tools, max_tokens: 2000 }))).toBe('inside')
  })

  it('hold keys to their models', async () => {
    expect(first(await plan({}, { caller: { name: 'intern' } }))).toBe('small')
    expect(first(await plan({ model: 'big' }, { caller: { name: 'intern' } }))).toBe('403')
  })

  it('take further ones, with their status and when to try again', async () => {
    const spent = { reason: 'no money left', status: 402, retryAfter: 60 } as const
    const needs = { limits: [(model: string) => (model === 'big' ? spent : undefined)] }
    expect(first(await plan({}, {}, needs))).toBe('small')
    expect(await plan({ model: 'big' }, {}, needs)).toMatchObject({
      status: 402,
      retryAfter: 60,
      message: 'no model may take this request: big: no money left',
    })
  })
})

it('a session keeps no model that the router could not have given it', async () => {
  const file = `version: 1
models: { strong: {}, weak: {}, other: {} }
sticky: { margin: 1 }
learned: {}
default: weak`
  const keep = async (previous_model: string) =>
    createPolicy(checkPolicy(file, 'p.yaml'), { learned: fakeRouter() }).plan(
      requestOf({ text: 'hello', hints: { previous_model } }),
      { signal: new AbortController().signal, send: () => Promise.reject(new Error('asked')) },
    )
  expect(await keep('weak')).toMatchObject({ deciding: { step: 'sticky' } })
  expect(await keep('other')).toMatchObject({ deciding: { step: 'learned' } })
})
