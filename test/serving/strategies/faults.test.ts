import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { APIError, type OpenAI } from 'openai'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type GatewayApp, gatewayApp, user } from '../gateway/gateway-app.ts'
import type { Behaviour } from '../upstreams/scripted-upstream.ts'

/** Where something hangs, the time that costs; else more than a busy machine needs. */
const HANGING_MS = 800
const DEADLINE_MS = 20_000
const STRATEGIES = {
  cascade: '{ kind: cascade, reserve_ms: 0, checks: [{ kind: length, min: 3 }] }',
  'cascade that always climbs':
    '{ kind: cascade, reserve_ms: 0, checks: [{ kind: length, min: 999 }] }',
  'cascade with samples and a judge':
    '{ kind: cascade, reserve_ms: 0, checks: [{ kind: self_consistency, samples: 3, threshold: 0.6 }, { kind: judge, judge: { model: big }, threshold: 0.5 }] }',
  majority: '{ kind: ensemble, mode: majority, samples: 2 }',
  'best of': '{ kind: ensemble, mode: best_of, judge: { model: big } }',
  'first good': '{ kind: ensemble, mode: first_good, checks: [{ kind: length, min: 3 }] }',
} as const
const BEHAVIOURS: Behaviour[] = [
  'answer',
  'reset',
  'hang',
  'rate_limit',
  'error_500',
  'bad_request',
  'no_choices',
  'cut_late',
]
const PAIRS = BEHAVIOURS.flatMap((behaviour): [Behaviour, Behaviour][] => [
  [behaviour, 'answer'],
  ['answer', behaviour],
  [behaviour, 'error_500'],
])

for (const [nth, [name, strategy]] of Object.entries(STRATEGIES).entries()) {
  describe(`${name}: every request ends in an answer or a clear error within its deadline`, () => {
    let gateway: GatewayApp
    let root: string
    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), 'weir-strategy-faults-'))
      const policy = join(root, 'policy.yaml')
      await writeFile(
        policy,
        `version: 1\nmodels: { small: {}, big: {} }\nroutes: { both: { models: [small, big], strategy: ${strategy} } }\ndefault: both\n`,
      )
      gateway = await gatewayApp(
        // breakers and pauses would answer for upstreams that fail in one test after the other
        { policy, deadline_ms: DEADLINE_MS, attempts: 1, breaker: { failures: 10_000, share: 1 } },
        { max_lag_ms: 60_000 },
      )
    })
    beforeEach(() => {
      gateway.served.length = 0
      for (const { backends } of gateway.services.gateway!.dispatcher.models.values()) {
        for (const backend of backends) {
          backend.pause.until = 0
          backend.keyPause.until = 0
        }
      }
    })
    afterEach(() => {
      expect(gateway.bugs).toEqual([])
      const [served] = gateway.served
      const answered = served!.attempts.filter(({ outcome }) => outcome === 'answered')
      expect(served!.attempts.filter(({ costUsd }) => costUsd !== undefined)).toEqual(answered)
    })
    afterAll(async () => {
      await gateway.close()
      await rm(root, { recursive: true })
      expect([...gateway.small.sockets, ...gateway.big.sockets]).toEqual([])
    })

    for (const [i, [small, big]] of PAIRS.entries()) {
      const stream = (i + nth) % 2 === 0
      test(`${small} and ${big}${stream ? ', streamed' : ''}`, async () => {
        gateway.small.otherwise = small
        gateway.big.otherwise = big
        const deadline = [small, big].includes('hang') ? HANGING_MS : DEADLINE_MS
        const { text, error } = await ask(gateway, stream, deadline)
        if (error === undefined) expect(text).toContain('Hel')
        else {
          expect(error).toBeInstanceOf(APIError)
          expect(String((error as APIError).code)).toMatch(/^(upstream_|gateway_|answers_|x$)/)
        }
        // where one of the two does its part there is an answer, but for a stream that broke in the middle
        const one = small === 'answer' || big === 'answer'
        if (one && !(stream && big === 'cut_late')) expect(error).toBeUndefined()
        await expect.poll(() => gateway.served.length).toBe(1)
        expect(gateway.served[0]!.milliseconds).toBeLessThan(deadline + 2_000)
        // given up or answered, nothing is still under way
        for (const { backends } of gateway.services.gateway!.dispatcher.models.values()) {
          for (const backend of backends) expect(backend.inFlight).toBe(0)
        }
      })
    }
  })
}

async function ask(
  { client }: GatewayApp,
  stream: boolean,
  deadline: number,
): Promise<{ readonly text?: string; readonly error?: unknown }> {
  try {
    const weir = { deadline_ms: deadline }
    const body = { model: 'weir', messages: user('hello'), stream, weir }
    const answer = await client.chat.completions.create(body as never)
    if (!stream) {
      return { text: (answer as OpenAI.ChatCompletion).choices[0]!.message.content ?? '' }
    }
    let text = ''
    for await (const chunk of answer as unknown as AsyncIterable<OpenAI.ChatCompletionChunk>) {
      text += chunk.choices[0]?.delta.content ?? ''
    }
    return { text }
  } catch (error) {
    return { error }
  }
}
