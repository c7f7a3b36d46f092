import { afterAll, beforeAll, expect, test } from 'vitest'
import { WeirError } from '../../../core/errors.ts'
import type {
  GatewayRequest,
  RefusePlan,
  Served,
  Strategy,
} from '../../../serving/gateway/contracts.ts'
import { createGateway, type Gateway } from '../../../serving/gateway/gateway.ts'

import { sendOutcome } from '../../../serving/gateway/reply.ts'
import { EASY, type GatewayApp, gatewayApp, user } from './gateway-app.ts'

let app: GatewayApp
beforeAll(async () => {
  app = await gatewayApp()
})
afterAll(() => app.close())

const served: Served[] = []
const request: GatewayRequest = {
  id: 'r1',
  body: { model: 'weir', messages: user(EASY) },
  caller: { name: 'anyone' },
  headers: {},
  hints: {},
  time: 0,
}
const over = (
  policy: Parameters<typeof createGateway>[0]['policy'],
  strategies: Strategy[] = [],
): Gateway =>
  createGateway({
    dispatcher: app.services.gateway!.dispatcher,
    forwarding: {
      dispatcher: app.services.gateway!.dispatcher,
      fallback: undefined,
      balance: 'least_loaded',
      now: () => performance.now(),
      random: () => 0,
    },
    policy,
    strategies,
    observers: [(one) => served.push(one)],
    deadlineMs: 2000,
    streamLimitMs: 2000,
    forwardHeaders: [],
    now: () => performance.now(),
  })
const refuse = (more: Partial<RefusePlan>) =>
  over({
    plan: async () => ({
      kind: 'refuse',
      as: 'error',
      message: 'the budget of today is spent',
      deciding: { step: 'hard_limit', reason: 'budget' },
      ...more,
    }),
  })

test('a plan that refuses is an error with its status, message and time to come back', async () => {
  const asked = refuse({ status: 402, retryAfter: 60 }).chat(request, () => {})
  await expect(asked).rejects.toMatchObject({
    status: 402,
    message: 'the budget of today is spent',
    retryAfter: 60,
  })
  expect(served.at(-1)).toMatchObject({ status: 402, code: 'policy_refused', attempts: [] })
})

test('or an answer that no model gave', async () => {
  const outcome = await refuse({ as: 'answer' }).chat(request, () => {})
  expect(outcome.answer).toBeUndefined()
  outcome.finish(200)
  expect(served.at(-1)).toMatchObject({ status: 200, model: undefined })
})

test('what fails while it is planned is told once, with what the policy asked on the way', async () => {
  for (const [error, status, code] of [
    [new WeirError('model_not_served', { model: 'nobody', known: [] }), 404, 'model_not_served'],
    [new TypeError('a bug'), 500, 'internal'],
  ] as const) {
    served.length = 0
    const gateway = over({
      async plan({ body }, { send }) {
        await send({ model: 'small' }, { body })
        throw error
      },
    })
    await expect(gateway.chat(request, () => {})).rejects.toBe(error)
    expect(served).toHaveLength(1)
    expect(served[0]).toMatchObject({
      plan: { kind: 'refuse', deciding: { step: 'none', reason: code } },
      attempts: [{ model: 'small', outcome: 'answered' }],
      costUsd: 0.002,
      status,
      code,
    })
  }
})

test('so is a body of another endpoint that is not admitted', async () => {
  served.length = 0
  const error = new WeirError('cancelled', { signal: 'the client' })
  const gateway = over({ plan: () => Promise.reject(error), admits: () => Promise.reject(error) })
  const passed = gateway.pass('embeddings', request, { model: 'small' }, '{}', () => {})
  await expect(passed).rejects.toBe(error)
  expect(served.map(({ endpoint, code }) => [endpoint, code])).toEqual([
    ['embeddings', 'cancelled'],
  ])
})

test('so is an answer that could not be written', async () => {
  served.length = 0
  const outcome = await refuse({ as: 'answer' }).chat(request, () => {})
  const raw = {
    writeHead() {
      throw new TypeError('Invalid character in header content')
    },
  }
  const reply = { hijack() {}, raw } as unknown as Parameters<typeof sendOutcome>[0]
  await expect(sendOutcome(reply, outcome)).rejects.toThrow('Invalid character')
  expect(served.map(({ status, code }) => [status, code])).toEqual([[500, 'internal']])
})

test('a strategy asks as it likes, and all it asked is counted', async () => {
  const both: Strategy = {
    kind: 'both',
    async run(call) {
      const [weak, strong] = call.plan.targets
      await call.send(weak!)
      return call.send(strong!)
    },
  }
  const gateway = over(
    {
      plan: async () => ({
        kind: 'serve',
        targets: [
          { model: 'small' },
          { model: 'big', system: 'Be brief.', parameters: { temperature: 0 } },
        ],
        strategy: { kind: 'both' },
        deciding: { step: 'rule', reason: 'rule' },
        propensity: 1,
      }),
    },
    [both],
  )
  const outcome = await gateway.chat(request, () => {})
  outcome.finish(200)
  expect(outcome.answer!.target.model).toBe('big')
  // $0.002 of the weak one and $0.02 of the strong one
  expect(served.at(-1)!.costUsd).toBeCloseTo(0.022, 10)
  expect(app.big.received.at(-1)!.body).toMatchObject({
    temperature: 0,
    messages: [{ role: 'system', content: 'Be brief.' }, ...user(EASY)],
  })
  const keys = [app.small, app.big].map(
    ({ received }) => received.at(-1)!.headers['idempotency-key'],
  )
  expect(keys[0]).not.toBe(keys[1])
})
