import { describe, expect, test } from 'vitest'
import type { BudgetRefusal, Claim } from '../../../serving/budgets/ledger.ts'
import { DeclaredBudgets, Reservations } from '../../../serving/budgets/reservations.ts'

import type { BudgetSettings } from '../../../serving/budgets/settings.ts'
import type { Dispatch } from '../../../serving/gateway/contracts.ts'
import { RequestCosts } from '../../../serving/gateway/request-costs.ts'
import { endReservation, reserving } from '../../../serving/gateway/spending.ts'
import type { Usage } from '../../../serving/upstreams/upstream.ts'
import { budget } from './budget.ts'

const PRICE = { input: 1, output: 2, cached_input: 0.5 }

/** An store that lets all through, or refuses with what it is given; tells what it was asked. */
function admission(
  budgets: readonly BudgetSettings[],
  refusal?: BudgetRefusal | Promise<BudgetRefusal>,
) {
  const claims: Claim[] = []
  const settled: number[] = []
  const overruns: string[] = []
  const declared = new DeclaredBudgets()
  declared.set('test', budgets, { shop: 'free' })
  const reservations = new Reservations({
    store: {
      declare: () => {},
      reserve: (_, claim) => {
        claims.push(claim)
        return refusal as undefined
      },
      query: () => undefined,
      refused: () => {},
      commit: (_, nanos) => settled.push(nanos),
      states: () => [],
      close: () => {},
    },
    declared,
    terms: new Map([['big', { price: PRICE, context: 1000, outputTokens: 100 }]]),
    owner: 'p',
    onOverrun: (model) => overruns.push(model),
  })
  return { admit: reserving(reservations), claims, settled, overruns }
}

/** An attempt of the big model that ended so. */
function ended(outcome: string, usage: Usage | undefined) {
  const ledger = new RequestCosts(() => PRICE)
  return ledger.add({ model: 'big', upstream: 'u', milliseconds: 1, outcome, usage })
}

const dispatch = (step: string | undefined = 'learned', name?: string) =>
  ({
    endpoint: 'chat',
    request: { caller: { name: 'shop' } },
    plan: step && { deciding: { step, reason: 'x', ...(name ? { name } : {}) } },
    target: { model: 'big' },
    body: { model: 'big', messages: [] },
  }) as unknown as Dispatch

describe('an attempt is settled', () => {
  const usage: Usage = { inputTokens: 10, outputTokens: 20 }
  const cases: [string, string, Usage | undefined, 'cost' | 'bound' | 'nothing'][] = [
    ['that answered, at its cost', 'answered', usage, 'cost'],
    ['that answered and told no tokens, at its bound', 'answered', undefined, 'bound'],
    ['that was cut after its last count, at its cost', 'broken', usage, 'cost'],
    [
      'that was cut with half a count, at its bound',
      'broken',
      { ...usage, partial: true },
      'bound',
    ],
    ['that was given up, at its bound', 'cancelled', undefined, 'bound'],
    ['that was late, at its bound', 'timeout', undefined, 'bound'],
    ['that made no sense, at its bound', 'malformed', undefined, 'bound'],
    ['by a bug, at its bound', 'error', undefined, 'bound'],
    ['that reached nobody, at nothing', 'unreachable', undefined, 'nothing'],
    ['that was turned away for its rate, at nothing', 'rate_limited', undefined, 'nothing'],
    ['that was refused, at nothing', 'rejected', undefined, 'nothing'],
    ['whose key was refused, at nothing', 'misconfigured', undefined, 'nothing'],
    ['that met a 500, at nothing', 'server_error', undefined, 'nothing'],
  ]
  for (const [what, outcome, its, expected] of cases) {
    test(what, async () => {
      const { admit, claims, settled } = admission([budget()])
      const hold = await admit(dispatch())
      endReservation(hold!, ended(outcome, its))
      // and once only
      endReservation(hold!, ended('answered', usage))
      const bound = claims[0]!.nanos
      const amounts = { cost: 10 * 1000 + 20 * 2000, bound, nothing: 0 }
      expect(settled).toEqual([amounts[expected]])
      expect(bound).toBeGreaterThan(amounts.cost)
    })
  }
})

test('an attempt that never went out is given back', async () => {
  const { admit, settled } = admission([budget()])
  const hold = await admit(dispatch())
  hold!.release()
  endReservation(hold!, ended('answered', { inputTokens: 10, outputTokens: 20 }))
  expect(settled).toEqual([0])
})

test('tokens read from a cache are settled at their price', async () => {
  const { admit, settled } = admission([budget()])
  const hold = await admit(dispatch())
  endReservation(
    hold!,
    ended('answered', { inputTokens: 10, outputTokens: 20, cachedInputTokens: 8 }),
  )
  expect(settled).toEqual([2 * 1000 + 8 * 500 + 20 * 2000])
})

test('what cost more than its bound is told', async () => {
  const { admit, overruns, settled } = admission([budget()])
  const hold = await admit(dispatch())
  endReservation(hold!, ended('answered', { inputTokens: 0, outputTokens: 5000 }))
  expect([overruns, settled]).toEqual([['big'], [10_000_000]])
})

test('each budget that counts it is named, by key, tier, model and route', async () => {
  const named = (of: BudgetSettings['of'], name: string) => budget({ name, of: of! })
  const { admit, claims } = admission([
    named('all', 'all'),
    named({ key: ['lab', 'shop'], model: 'big' }, 'key'),
    named({ tier: 'free' }, 'tier'),
    named({ tier: 'paid' }, 'other-tier'),
    named({ model: 'small' }, 'other-model'),
    named({ route: 'learned' }, 'step'),
    named({ route: 'maths' }, 'rule'),
  ])
  await admit(dispatch())
  await admit(dispatch('rule', 'maths'))
  // while the policy plans there is no route yet
  await admit({ ...dispatch(), plan: undefined })
  expect(claims.map(({ budgets }) => budgets)).toEqual([
    ['all', 'key', 'tier', 'step'],
    ['all', 'key', 'tier', 'rule'],
    ['all', 'key', 'tier'],
  ])
})

test('what no budget counts is not held', async () => {
  const { admit, claims } = admission([budget({ of: { key: 'lab' } })])
  expect(await admit(dispatch())).toBeUndefined()
  expect(admission([]).admit(dispatch())).toBeUndefined()
  expect(claims).toEqual([])
})

test('a refusal is thrown, at once or when it comes', async () => {
  const refusal = {
    budget: 'all',
    usd: 1,
    per: 'total',
    action: 'stop',
    reason: 'spent',
  } as const
  expect(() => admission([budget()], refusal).admit(dispatch())).toThrow(
    'the budget all of $1 in total has too little left',
  )
  const later = Promise.resolve({ ...refusal, action: 'downgrade', retryAfter: 9 } as const)
  await expect(admission([budget()], later).admit(dispatch())).rejects.toMatchObject({
    code: 'model_over_budget',
    status: 402,
    retryAfter: 9,
  })
})
