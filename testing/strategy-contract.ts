import { describe, expect, it } from 'vitest'
import { WeirError } from '../core/errors.ts'
import {
  type Answer,
  type GatewayRequest,
  type StrategyCall,
  type Target,
  Trail,
} from '../serving/gateway/contracts.ts'
import { ModelAsker } from '../serving/strategies/ask-model.ts'
import type {
  SettingsFinder,
  StrategyKind,
  StrategySettings,
} from '../serving/strategies/settings.ts'
import { UpstreamError } from '../serving/upstreams/failure.ts'
import type { ChatBody, PassedBody } from '../serving/upstreams/upstream.ts'

export interface StrategyCase {
  readonly row: StrategyKind
  /** without faults; models other than `small` and `big` may be asked beside them */
  readonly settings: StrategySettings
  /** what a model answers; a short text unless told */
  readonly reply?: (model: string, body: PassedBody) => string
}

interface Sent {
  readonly model: string
  readonly signal: AbortSignal | undefined
  done: boolean
  cancelled: boolean
}

/** How the models behave. */
type Behaviour = 'answer' | 'fail' | 'hang' | 'bug'

const TARGETS: readonly Target[] = [{ model: 'small' }, { model: 'big' }]

/** The one suite that every strategy passes. */
export function describeStrategyContract(name: string, given: StrategyCase): void {
  const { row, settings, reply = () => 'fine, thank you' } = given

  function faultsOf(its: StrategySettings): { faults: string[]; models: string[] } {
    const faults: string[] = []
    const models: string[] = []
    const find: SettingsFinder = {
      fault: (at, expected, got) =>
        faults.push(`${at.join('.')}: expected ${expected}, got ${got}`),
      model: (_, model) => models.push(model),
    }
    row.check(its, find)
    return { faults, models }
  }

  /** A request under way, its models faked. */
  function start(
    how: Behaviour = 'answer',
    more: Partial<ChatBody> = {},
    plan: { readonly targets?: readonly Target[]; readonly open?: readonly string[] } = {},
  ) {
    const { targets = TARGETS, open } = plan
    const controller = new AbortController()
    const sent: Sent[] = []
    const began = performance.now()
    const request: GatewayRequest = {
      id: 'request-1',
      body: { model: 'weir', messages: [{ role: 'user', content: 'How are you?' }], ...more },
      caller: { name: 'key' },
      headers: {},
      hints: {},
      time: 1_700_000_000_000,
    }
    const answerOf = (target: Target, body: PassedBody, one: Sent): Answer => {
      const content = reply(target.model, body)
      const choices = Array.from({ length: Number(body.n ?? 1) }, (_, index) => ({
        index,
        message: { role: 'assistant', content },
        finish_reason: 'stop',
      }))
      const whole = { id: 'c', object: 'chat.completion', model: target.model, choices }
      if (body.stream !== true) {
        const answer = { kind: 'complete', body: whole, text: undefined, usage: undefined } as const
        return { target, upstream: 'server', answer }
      }
      async function* chunks(): AsyncGenerator<string> {
        yield `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`
      }
      const cancel = (): void => {
        one.cancelled = true
      }
      const answer = { kind: 'stream', chunks: chunks(), usage: () => undefined, cancel } as const
      return { target, upstream: 'server', answer }
    }
    const send: StrategyCall['send'] = async (target, options = {}) => {
      const one: Sent = {
        model: target.model,
        signal: options.signal,
        done: false,
        cancelled: false,
      }
      sent.push(one)
      const signal = AbortSignal.any([
        controller.signal,
        ...(options.signal ? [options.signal] : []),
      ])
      try {
        signal.throwIfAborted()
        if (how === 'bug') throw new RangeError('a bug')
        if (how === 'fail') {
          throw new UpstreamError('server_error', { upstream: 'server', reason: 'HTTP 500' })
        }
        if (how === 'hang') {
          await new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason))
          })
        }
        const body = { ...(options.body ?? request.body), ...target.parameters }
        return answerOf(target, body as PassedBody, one)
      } finally {
        one.done = true
      }
    }
    const call: StrategyCall = {
      request,
      plan: {
        kind: 'serve',
        targets,
        strategy: { kind: row.kind, settings, ...(open ? { open } : {}) },
        deciding: { step: 'rule', reason: 'matched' },
        propensity: 1,
      },
      signal: controller.signal,
      trail: new Trail(),
      remainingMs: () => Math.max(0, 2_000 - (performance.now() - began)),
      send,
      async sendFirst(all, options) {
        let last: unknown
        for (const target of all) {
          try {
            return await send(target, options)
          } catch (error) {
            if (!(error instanceof UpstreamError)) throw error
            last = error
          }
        }
        throw last
      },
    }
    return { call, sent, controller }
  }

  const run = (call: StrategyCall): Promise<Answer> => row.create(new ModelAsker()).run(call)

  describe(`${name} keeps the strategy contract:`, () => {
    it('has the kind of its row', () => {
      expect(row.create(new ModelAsker()).kind).toBe(row.kind)
      expect(settings.kind).toBe(row.kind)
    })

    it('takes its settings, and refuses one that is not its own', () => {
      expect(faultsOf(settings).faults).toEqual([])
      const { faults } = faultsOf({ ...settings, no_such_setting: 1 })
      expect(faults).toEqual([expect.stringMatching(/^no_such_setting: expected no such field/)])
    })

    it('answers with one of the targets, whole where that was asked for', async () => {
      const { call, sent } = start()
      const { target, answer } = await run(call)
      expect(TARGETS.map(({ model }) => model)).toContain(target.model)
      expect(answer).toMatchObject({ kind: 'complete', body: { choices: [{ index: 0 }] } })
      expect(sent.length).toBeGreaterThan(0)
    })

    it('answers with a stream where that was asked for, and gives up those it drops', async () => {
      const { call, sent } = start('answer', { stream: true })
      const { answer } = await run(call)
      if (answer.kind !== 'stream') throw new Error('answered with a whole answer')
      let text = ''
      for await (const chunk of answer.chunks) text += chunk
      expect(text).toContain('"content"')
      answer.cancel()
      expect(sent.filter(({ signal, done }) => !done && !signal?.aborted)).toEqual([])
    })

    it('answers a request for several choices with several', async () => {
      const { call } = start('answer', { n: 2 })
      const { answer } = await run(call)
      expect(answer.kind === 'complete' && answer.body.choices).toHaveLength(2)
    })

    it('answers with one target alone', async () => {
      const { call } = start('answer', {}, { targets: [{ model: 'big' }] })
      expect((await run(call)).target.model).toBe('big')
    })

    it('asks targets and the models of its settings, and none that is closed', async () => {
      const { models } = faultsOf(settings)
      const { call, sent } = start()
      await run(call)
      const known = new Set([...TARGETS.map(({ model }) => model), ...models])
      for (const { model } of sent) expect(known).toContain(model)
      const closed = start('answer', {}, { open: ['small', 'big'] })
      await run(closed.call)
      for (const { model } of closed.sent) expect(['small', 'big']).toContain(model)
    })

    it('leaves notes that a header can hold, and scores in [0, 1]', async () => {
      const { call } = start()
      await run(call)
      for (const [note, value] of call.trail.notes) {
        expect(`${note}${value}`).toMatch(/^[\x20-\x7e]+$/)
        expect(`${note}${value}`).not.toMatch(/[;=]/)
      }
      for (const { score, model } of call.trail.checks) {
        expect(score ?? 0).toBeGreaterThanOrEqual(0)
        expect(score ?? 0).toBeLessThanOrEqual(1)
        expect(TARGETS.map((target) => target.model)).toContain(model)
      }
    })

    it('fails with an error of the table where every model fails', async () => {
      await expect(run(start('fail').call)).rejects.toBeInstanceOf(WeirError)
    })

    it('hides no bug', async () => {
      await expect(run(start('bug').call)).rejects.toBeInstanceOf(RangeError)
    })

    it('ends with the request, and leaves nothing under way', async () => {
      const { call, sent, controller } = start('hang')
      const running = run(call)
      setImmediate(() => controller.abort(new WeirError('cancelled', { signal: 'a test' })))
      await expect(running).rejects.toMatchObject({ code: 'cancelled' })
      expect(sent.every(({ done }) => done)).toBe(true)
    })
  })
}
