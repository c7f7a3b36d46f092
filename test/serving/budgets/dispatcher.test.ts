import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { ModelTerms } from '../../../serving/budgets/bound.ts'
import { DeclaredBudgets, Reservations } from '../../../serving/budgets/reservations.ts'
import { openDiskStore } from '../../../serving/budgets/store.ts'

import { Backend } from '../../../serving/gateway/backend.ts'
import { Breaker } from '../../../serving/gateway/breaker.ts'
import type { Dispatch } from '../../../serving/gateway/contracts.ts'
import { ModelDispatcher, RetryBudget } from '../../../serving/gateway/dispatcher.ts'
import { RequestCosts } from '../../../serving/gateway/request-costs.ts'
import { reserving } from '../../../serving/gateway/spending.ts'
import { Cancellation } from '../../../serving/upstreams/cancellation.ts'
import { type FailureKind, UpstreamError } from '../../../serving/upstreams/failure.ts'
import type { Upstream, Usage } from '../../../serving/upstreams/upstream.ts'
import { budget } from './budget.ts'

const PRICE = { input: 1, output: 2 }
const nanos = ({ inputTokens, outputTokens }: Usage): number =>
  inputTokens * 1000 + outputTokens * 2000
/** Of these nothing is billed. */
const REFUSED: FailureKind[] = ['server_error', 'rejected', 'misconfigured', 'unreachable']
/** Of these everything may be. */
const WORKED: FailureKind[] = ['timeout', 'malformed', 'broken']

for (const seed of [31, 32, 33]) {
  test(`two models that answer, fail, are late or cut their streams are never billed past the budgets (seed ${seed})`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-dispatch-'))
    const random = createRandom(seed)
    const limits = { all: 0.05, dear: 0.02 }
    const billed = { all: 0, dear: 0 }
    /** billed, and counted by nobody: the budgets must take the upper bound */
    let unknown = 0
    const turns = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve))
    }
    const upstream = (name: 'cheap' | 'dear'): Upstream => {
      const bill = (usage: Usage): void => {
        billed.all += nanos(usage)
        if (name === 'dear') billed.dear += nanos(usage)
      }
      return {
        name,
        async complete({ body }) {
          const most = body.max_tokens as number
          const usage = { inputTokens: 5 + random.int(40), outputTokens: random.int(most + 1) }
          await turns(random.int(4))
          const dice = random.next()
          const fail = (kind: FailureKind) =>
            new UpstreamError(kind, { upstream: name, reason: '' })
          if (dice < 0.1) throw fail(REFUSED[random.int(REFUSED.length)]!)
          bill(usage)
          if (dice < 0.2) {
            unknown++
            throw fail(WORKED[random.int(WORKED.length)]!)
          }
          if (body.stream !== true) return { kind: 'complete', body: {}, text: '', usage }
          const cut = random.next() < 0.3
          if (cut) unknown++
          return {
            kind: 'stream',
            chunks: (async function* () {
              for (let i = 0; i < 3; i++) {
                await turns(1)
                yield 'data: {}\n\n'
              }
              if (cut) throw fail('broken')
            })(),
            // of a stream that breaks only its beginning may be known
            usage: () => (cut ? { ...usage, outputTokens: 1, partial: true } : usage),
            cancel: () => {},
          }
        },
        close: async () => {},
      }
    }
    const terms: ModelTerms = { price: PRICE, context: 4000, outputTokens: 1000 }
    const declared = new DeclaredBudgets()
    declared.set('test', [
      budget({ usd: limits.all, per: 'total' }),
      budget({ name: 'dear', usd: limits.dear, per: 'total', of: { model: 'dear' } }),
    ])
    const store = openDiskStore({
      folder,
      lock: () => ({ release: () => {} }),
      now: Date.now,
      onWarning: () => {},
      onAlert: () => {},
    })
    store.declare(declared.all)
    const overruns: string[] = []
    const now = (): number => performance.now()
    const models = new Map(
      (['cheap', 'dear'] as const).map((name) => {
        const breaker = new Breaker({ failures: 1000, share: 1 }, now)
        const backends = [1, 2].map(() => new Backend(upstream(name), name, 1, breaker, now))
        return [name as string, { name, backends, price: PRICE, quality: 1 }]
      }),
    )
    const dispatcher = new ModelDispatcher({
      models,
      balance: 'least_loaded',
      attempts: 2,
      rateLimitWaitMs: 2_000,
      budget: new RetryBudget(1),
      now,
      random: () => random.next(),
      admit: reserving(
        new Reservations({
          store,
          declared,
          terms: new Map([...models.keys()].map((name) => [name, terms])),
          owner: 'p',
          onOverrun: (model) => overruns.push(model),
        }),
      ),
    })
    let answered = 0
    const refused = { budget_spent: 0 }
    const client = async (): Promise<void> => {
      const body = {
        model: 'weir',
        messages: [{ role: 'user', content: 'why' }],
        max_tokens: 1 + random.int(900),
        stream: random.next() < 0.5,
      }
      const dispatch = {
        endpoint: 'chat',
        request: { caller: { name: 'anyone' }, hints: {}, body },
        plan: { deciding: { step: 'learned', reason: '' } },
        target: { model: random.next() < 0.5 ? 'cheap' : 'dear' },
        body,
        headers: {},
        cancellation: new Cancellation(),
        costs: new RequestCosts(() => PRICE),
        remainingMs: () => 10_000,
        moreToTry: false,
      } as unknown as Dispatch
      try {
        const { answer } = await dispatcher.send(dispatch)
        if (answer.kind === 'stream') for await (const _ of answer.chunks);
        answered++
      } catch (error) {
        if ((error as { code?: string }).code === 'budget_spent') refused.budget_spent++
        else expect(error).toBeInstanceOf(UpstreamError)
      }
    }
    const running = Array.from({ length: 12 }, async () => {
      for (let i = 0; i < 25; i++) {
        await client()
        expect(billed.all).toBeLessThanOrEqual(limits.all * 1e9)
        expect(billed.dear).toBeLessThanOrEqual(limits.dear * 1e9)
      }
    })
    await Promise.all(running)
    expect(overruns).toEqual([])
    expect([answered > 20, refused.budget_spent > 20, unknown > 3]).toEqual([true, true, true])
    const spent = Object.fromEntries(store.states().map((state) => [state.name, state]))
    for (const name of ['all', 'dear'] as const) {
      expect(spent[name]!.held_usd).toBe(0)
      expect(spent[name]!.spent_usd * 1e9).toBeGreaterThanOrEqual(billed[name])
      expect(spent[name]!.spent_usd).toBeLessThanOrEqual(limits[name])
    }
    store.close()
    rmSync(folder, { recursive: true })
  })
}

test.each([
  ['as the client wrote it', true, 'the client’s own text, with all that a chat body cannot say'],
  ['as a strategy asks it', false, undefined],
])('what a request of another API may cost is bounded by what is sent: %s', (_, own, text) => {
  const bounded: (object | undefined)[] = []
  const body = { model: 'weir', messages: [] }
  const client = {
    api: 'responses',
    text: 'the client’s own text, with all that a chat body cannot say',
  }
  const admit = reserving({ reserve: (question) => void bounded.push(question) })
  void admit({
    endpoint: 'responses',
    request: { body, client, caller: { name: 'me' } },
    target: { model: 'judge' },
    body: own ? body : { model: 'weir', messages: [{ role: 'user', content: 'a longer one' }] },
  } as unknown as Dispatch)
  expect(bounded).toMatchObject([{ text }])
})
