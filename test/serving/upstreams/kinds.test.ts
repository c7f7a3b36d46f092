import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import {
  defineUpstreamKind,
  openUpstream,
  UPSTREAM_KINDS,
  type UpstreamKind,
} from '../../../serving/upstreams/kinds.ts'
import { describeUpstreamContract, type UpstreamCase } from '../../../testing/upstream-contract.ts'

const rowOf = (kind: string): UpstreamKind => UPSTREAM_KINDS.find((row) => row.kind === kind)!
const json = (response: ServerResponse, body: object): void => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
const events = (response: ServerResponse, list: readonly object[], last = ''): void => {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.end(list.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('') + last)
}

const CASES: Readonly<Record<string, UpstreamCase>> = {
  openai: {
    row: rowOf('openai'),
    settings: (url) => ({ base_url: `${url}/v1` }),
    answer(stream, response) {
      const usage = { prompt_tokens: 12, completion_tokens: 2, total_tokens: 14 }
      const head = { id: 'c', created: 1, model: 'm' }
      if (!stream) {
        const message = { role: 'assistant', content: 'Hello world' }
        const choices = [{ index: 0, message, finish_reason: 'stop' }]
        json(response, { ...head, object: 'chat.completion', choices, usage })
        return
      }
      const chunk = (delta: object, finish_reason: string | null, more: object = {}) => ({
        ...head,
        object: 'chat.completion.chunk',
        choices: [{ index: 0, delta, finish_reason }],
        ...more,
      })
      const list = [
        chunk({ role: 'assistant', content: '' }, null),
        chunk({ content: 'Hello ' }, null),
        chunk({ content: 'world' }, null),
        chunk({}, 'stop'),
        { ...chunk({}, null), choices: [], usage },
      ]
      events(response, list, 'data: [DONE]\n\n')
    },
  },
  anthropic: {
    row: rowOf('anthropic'),
    settings: (url) => ({ base_url: `${url}/v1` }),
    answer(stream, response) {
      const usage = { input_tokens: 12, output_tokens: 2 }
      if (!stream) {
        const content = [{ type: 'text', text: 'Hello world' }]
        json(response, { id: 'c', type: 'message', model: 'm', content, usage })
        return
      }
      const text = (part: string) => ({
        type: 'content_block_delta',
        index: 0,
        delta: { type: 'text_delta', text: part },
      })
      events(response, [
        { type: 'message_start', message: { id: 'c', model: 'm', usage } },
        text('Hello '),
        text('world'),
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 2 } },
        { type: 'message_stop' },
      ])
    },
  },
  'ai-sdk': {
    row: rowOf('ai-sdk'),
    settings: (url) => ({ package: '@ai-sdk/mistral', options: { baseURL: url, apiKey: 'k' } }),
    answer(stream, response) {
      if (!stream) {
        CASES.openai!.answer(stream, response)
        return
      }
      const usage = { prompt_tokens: 12, completion_tokens: 2, total_tokens: 14 }
      const chunk = (delta: object, more: object = {}, finish_reason: string | null = null) => ({
        ...{ id: 'c', created: 1, model: 'm', object: 'chat.completion.chunk' },
        choices: [{ index: 0, delta, finish_reason }],
        ...more,
      })
      const list = [
        chunk({ role: 'assistant', content: '' }),
        chunk({ content: 'Hello ' }),
        chunk({ content: 'world' }, { usage }, 'stop'),
      ]
      events(response, list, 'data: [DONE]\n\n')
    },
  },
}

/** A second package, whose API is like no other's. */
const GOOGLE: UpstreamCase = {
  row: rowOf('ai-sdk'),
  settings: (url) => ({ package: '@ai-sdk/google', options: { baseURL: url, apiKey: 'k' } }),
  asksForStream: (url) => url.includes('streamGenerateContent'),
  answer(stream, response) {
    const usageMetadata = { promptTokenCount: 12, candidatesTokenCount: 2, totalTokenCount: 14 }
    const said = (text: string, more: object = {}) => ({
      candidates: [{ index: 0, content: { role: 'model', parts: [{ text }] }, ...more }],
      usageMetadata,
    })
    if (!stream) json(response, said('Hello world', { finishReason: 'STOP' }))
    else events(response, [said('Hello '), said('world', { finishReason: 'STOP' })])
  },
}

for (const [name, given] of Object.entries(CASES)) describeUpstreamContract(name, given)
describeUpstreamContract('ai-sdk with another package', GOOGLE)

describe('the registry of upstream kinds', () => {
  it('has a contract case for every row', () => {
    expect(Object.keys(CASES)).toEqual(UPSTREAM_KINDS.map(({ kind }) => kind))
  })

  const context = {
    name: 'mine',
    where: 'gateway.upstreams.mine',
    environment: {},
    allowHosts: undefined,
    now: Date.now,
  }

  it('takes kinds from outside, opened with the settings of their own schema', async () => {
    const { schema } = rowOf('openai')
    const upstream = { name: 'mine', complete: () => Promise.reject(), close: async () => {} }
    const opened: unknown[] = []
    const row = defineUpstreamKind({
      kind: 'echo',
      schema,
      async open(settings) {
        opened.push(settings)
        return upstream
      },
    })
    const settings = { kind: 'echo', base_url: 'http://x' }
    expect(await openUpstream(settings, context, [row])).toBe(upstream)
    expect(opened).toEqual([settings])
  })

  it('says which kinds there are where one is not known', async () => {
    await expect(openUpstream({ kind: 'opnai' }, context)).rejects.toThrow(
      'gateway.upstreams.mine.kind: expected one of openai, anthropic, ai-sdk, got opnai',
    )
  })
})
