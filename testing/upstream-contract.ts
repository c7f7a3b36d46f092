import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WeirError } from '../core/errors.ts'
import { Cancellation } from '../serving/upstreams/cancellation.ts'
import { UpstreamError } from '../serving/upstreams/failure.ts'
import { openUpstream, type UpstreamConfig, type UpstreamKind } from '../serving/upstreams/kinds.ts'
import type {
  ChatBody,
  CompleteAnswer,
  StreamAnswer,
  Upstream,
} from '../serving/upstreams/upstream.ts'

export interface UpstreamCase {
  readonly row: UpstreamKind
  /** settings of an upstream on a local server */
  readonly settings: (url: string) => UpstreamConfig
  /** What that server answers to a good request: the text "Hello world", 12 tokens read and 2 written. */
  readonly answer: (stream: boolean, response: ServerResponse) => void
  /** whether an address asks for a stream, where the body does not say it */
  readonly asksForStream?: (url: string) => boolean
}

/** What the server does with the next request. */
type Behaviour = 'answer' | 'hang' | 'malformed' | 'cut' | number

const BODY: ChatBody = { model: 'm', messages: [{ role: 'user', content: 'hi' }] }

/** The one suite that every kind of upstream passes. */
export function describeUpstreamContract(name: string, given: UpstreamCase): void {
  describe(`${name} keeps the upstream contract:`, () => {
    let behaviour: Behaviour = 'answer'
    let upstream: Upstream
    const server = createServer(async (request, response) => {
      const parts: Buffer[] = []
      for await (const part of request) parts.push(part as Buffer)
      const asked = given.asksForStream?.(request.url!) ?? false
      const stream = asked || Buffer.concat(parts).includes('"stream":true')
      if (behaviour === 'answer') given.answer(stream, response)
      else if (behaviour === 'malformed') response.end('<html>')
      else if (behaviour === 'cut') response.destroy()
      else if (typeof behaviour === 'number') {
        const error = { type: 'error', message: 'not so' }
        response.writeHead(behaviour, { 'retry-after': '7' }).end(JSON.stringify({ error }))
      }
    })
    beforeAll(async () => {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      upstream = await open({})
    })
    afterAll(async () => {
      await upstream.close()
      server.closeAllConnections()
      server.close()
    })

    function open(more: Record<string, unknown>): Promise<Upstream> {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      const settings = { ...given.settings(url), ...more, kind: given.row.kind }
      const context = {
        name: 'server',
        where: 'gateway.upstreams.server',
        environment: {},
        allowHosts: undefined,
        now: () => 1_700_000_000_000,
      }
      return openUpstream(settings, context, [given.row])
    }

    const ask = (more: Partial<ChatBody> = {}, cancellation = new Cancellation()) =>
      upstream.complete(
        { endpoint: 'chat', body: { ...BODY, ...more }, headers: {}, remainingMs: 2_000 },
        cancellation,
      )
    const failing = (how: Behaviour, stream = false): Promise<unknown> => {
      behaviour = how
      return ask(stream ? { stream } : {}).then(
        (answer) => Promise.reject(new Error(`answered: ${answer.kind}`)),
        (error: unknown) => error,
      )
    }

    it('gives a whole answer in OpenAI’s shape, with its tokens', async () => {
      behaviour = 'answer'
      const answer = (await ask()) as CompleteAnswer
      expect(answer.kind).toBe('complete')
      expect(answer.body).toMatchObject({
        object: 'chat.completion',
        choices: [{ index: 0, message: { role: 'assistant', content: 'Hello world' } }],
      })
      expect(answer.usage).toMatchObject({ inputTokens: 12, outputTokens: 2 })
      if (answer.text !== undefined) expect(JSON.parse(answer.text)).toEqual(answer.body)
    })

    it('gives a stream as whole events in OpenAI’s shape without [DONE], its tokens at the end', async () => {
      behaviour = 'answer'
      const answer = (await ask({ stream: true })) as StreamAnswer
      expect(answer.kind).toBe('stream')
      let text = ''
      for await (const chunk of answer.chunks) text += chunk
      const events = text.split('\n\n')
      expect(events.pop()).toBe('')
      let said = ''
      for (const event of events) {
        expect(event).toMatch(/^data: \{/)
        const { object, choices } = JSON.parse(event.slice('data: '.length))
        expect(object).toBe('chat.completion.chunk')
        said += choices[0]?.delta.content ?? ''
      }
      expect(said).toBe('Hello world')
      expect(answer.usage()).toMatchObject({ inputTokens: 12, outputTokens: 2 })
      answer.cancel()
    })

    it('lets a stream be given up, at any time and any number of times', async () => {
      behaviour = 'answer'
      const answer = (await ask({ stream: true })) as StreamAnswer
      answer.cancel()
      answer.cancel()
    })

    it.each([
      [429, 'rate_limited', true],
      [500, 'server_error', true],
      [401, 'misconfigured', true],
      [400, 'rejected', false],
      ['malformed', 'malformed', true],
      ['cut', 'broken', true],
    ] as const)('says of %s that it is %s', async (how, kind, retryable) => {
      for (const stream of [false, true]) {
        const error = await failing(how, stream)
        expect(error).toBeInstanceOf(UpstreamError)
        expect(error).toMatchObject({ kind, retryable, upstream: 'server' })
        if (how === 429) expect((error as UpstreamError).retryAfterMs).toBe(7_000)
        if (how === 400) expect((error as UpstreamError).message).toContain('not so')
      }
    })

    it('takes no longer than the request has', async () => {
      behaviour = 'hang'
      const call = { endpoint: 'chat' as const, body: BODY, headers: {}, remainingMs: 200 }
      await expect(upstream.complete(call, new Cancellation())).rejects.toMatchObject({
        kind: 'timeout',
      })
    })

    it('is given up with the reason of the cancellation, before and while it asks', async () => {
      behaviour = 'hang'
      const reason = new WeirError('cancelled', { signal: 'a test' })
      const early = new Cancellation()
      early.cancel(reason)
      await expect(ask({}, early)).rejects.toBe(reason)
      const late = new Cancellation()
      const asking = ask({}, late)
      late.cancel(reason)
      await expect(asking).rejects.toBe(reason)
    })

    it('says that a server that is not there is unreachable', async () => {
      const elsewhere = await openUpstream(
        { ...given.settings('http://127.0.0.1:1'), kind: given.row.kind },
        {
          name: 'gone',
          where: 'gateway.upstreams.gone',
          environment: {},
          allowHosts: undefined,
          now: Date.now,
        },
        [given.row],
      )
      const call = { endpoint: 'chat' as const, body: BODY, headers: {}, remainingMs: 2_000 }
      await expect(elsewhere.complete(call, new Cancellation())).rejects.toMatchObject({
        kind: 'unreachable',
      })
      await elsewhere.close()
    })

    it('refuses settings that are not its own, and says where', async () => {
      await expect(open({ no_such_setting: 1 })).rejects.toMatchObject({
        code: 'config_invalid',
        message: expect.stringContaining('gateway.upstreams.server.no_such_setting'),
      })
    })
  })
}
