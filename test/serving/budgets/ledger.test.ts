import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { type BudgetAlert, BudgetLedger } from '../../../serving/budgets/ledger.ts'
import type { BudgetSettings } from '../../../serving/budgets/settings.ts'
import { nanosOf } from '../../../serving/budgets/units.ts'
import { budget } from './budget.ts'

const NOON = Date.UTC(2026, 10, 21, 12)
const DAY = 86_400_000

function ledger(budgets: readonly BudgetSettings[]) {
  const clock = { now: NOON }
  const alerts: BudgetAlert[] = []
  const its = new BudgetLedger(
    () => clock.now,
    (alert) => alerts.push(alert),
  )
  its.declare(budgets)
  return { its, clock, alerts }
}

const claim = (usd: number, ...budgets: string[]) => ({ budgets, nanos: nanosOf(usd) })

test('what is under way counts at its upper bound until it is settled', () => {
  const { its } = ledger([budget()])
  expect(its.reserve('a', claim(0.6, 'all'))).toBeUndefined()
  expect(its.reserve('b', claim(0.6, 'all'))).toMatchObject({ reason: 'held', retryAfter: 1 })
  its.commit('a', nanosOf(0.1))
  expect(its.reserve('b', claim(0.6, 'all'))).toBeUndefined()
  its.commit('b', nanosOf(0.6))
  expect(its.states()).toMatchObject([{ spent_usd: 0.7, held_usd: 0, refused: 1 }])
})

test('a budget may be spent to its last billionth and not past it', () => {
  const { its } = ledger([budget()])
  expect(its.reserve('a', { budgets: ['all'], nanos: 1e9 - 1 })).toBeUndefined()
  its.commit('a', 1e9 - 1)
  expect(its.reserve('b', { budgets: ['all'], nanos: 2 })?.reason).toBe('spent')
  expect(its.reserve('b', { budgets: ['all'], nanos: 1 })).toBeUndefined()
})

test('a refusal says when it may fit: at the end of the day or month, never for a total', () => {
  const spent = (per: BudgetSettings['per']) => {
    const { its } = ledger([budget({ per })])
    its.reserve('a', claim(1, 'all'))
    its.commit('a', nanosOf(1))
    return its.reserve('b', claim(0.1, 'all'))
  }
  expect(spent('day')?.retryAfter).toBe(12 * 3600)
  expect(spent('month')?.retryAfter).toBe((9 * 24 + 12) * 3600)
  expect(spent('total')).toMatchObject({ reason: 'spent' })
  expect(spent('total')?.retryAfter).toBeUndefined()
  const { its } = ledger([budget()])
  const large = its.reserve('a', claim(1.01, 'all'))
  expect(large).toMatchObject({ reason: 'too_large' })
  expect(large?.retryAfter).toBeUndefined()
})

test('a query says what a reservation would be told, and changes nothing', () => {
  const { its, clock, alerts } = ledger([budget({ action: 'downgrade' })])
  its.reserve('a', claim(0.9, 'all'))
  const before = [its.state(), its.states()]
  expect(its.query(claim(0.2, 'all'))).toMatchObject({ budget: 'all', reason: 'held' })
  expect(its.query(claim(0.1, 'all'))).toBeUndefined()
  // on the next day all of it is there again, and still nothing has been opened
  clock.now += DAY
  expect(its.query(claim(0.2, 'all'))).toBeUndefined()
  clock.now -= DAY
  expect([its.state(), its.states()]).toEqual(before)
  expect(alerts).toEqual([])
  its.refused('all')
  expect(its.states()).toMatchObject([{ refused: 1 }])
  expect(alerts.map(({ level }) => level)).toEqual(['refusing'])
})

test('of several budgets the one that stops speaks, and none of them is charged', () => {
  const { its } = ledger([
    budget({ name: 'soft', usd: 0.1, action: 'downgrade' }),
    budget({ name: 'hard', usd: 0.2 }),
    budget({ name: 'told', usd: 0.05, action: 'alert' }),
  ])
  const names = ['soft', 'hard', 'told']
  expect(its.reserve('a', claim(0.3, ...names))).toMatchObject({ budget: 'hard', action: 'stop' })
  expect(its.reserve('a', claim(0.15, ...names))).toMatchObject({ budget: 'soft' })
  expect(its.states().map((state) => state.held_usd)).toEqual([0, 0, 0])
  expect(its.reserve('a', claim(0.1, ...names))).toBeUndefined()
  its.commit('a', nanosOf(0.1))
  expect(its.states().map((state) => state.spent_usd)).toEqual([0.1, 0.1, 0.1])
})

describe('periods', () => {
  test('begin anew at midnight of UTC; what began before counts for its own day', () => {
    const { its, clock } = ledger([budget()])
    its.reserve('old', claim(0.9, 'all'))
    clock.now += DAY
    expect(its.reserve('new', claim(1, 'all'))).toBeUndefined()
    its.commit('old', nanosOf(0.9))
    expect(its.states()).toMatchObject([{ period: '2026-11-22', spent_usd: 0, held_usd: 1 }])
  })

  test('give nothing back where the clock is set back', () => {
    const { its, clock } = ledger([budget()])
    its.reserve('a', claim(1, 'all'))
    its.commit('a', nanosOf(1))
    clock.now -= 2 * DAY
    expect(its.reserve('b', claim(0.1, 'all'))?.reason).toBe('spent')
  })
})

test('levels are told once a period, and that requests are refused once as well', () => {
  const { its, alerts, clock } = ledger([budget({ alert_at: [0.5, 0.8] })])
  const spend = (usd: number) => {
    if (!its.reserve('x', claim(usd, 'all'))) its.commit('x', nanosOf(usd))
  }
  for (let i = 0; i < 12; i++) spend(0.1)
  expect(alerts.map(({ level }) => level)).toEqual([0.5, 0.8, 'refusing'])
  clock.now += DAY
  spend(0.9)
  expect(alerts.slice(3).map(({ level, period }) => [level, period])).toEqual([
    [0.5, '2026-11-22'],
    [0.8, '2026-11-22'],
  ])
})

test('a budget that is declared again keeps what it spent, under another limit too', () => {
  const { its } = ledger([budget()])
  its.reserve('a', claim(0.5, 'all'))
  its.reserve('b', claim(0.2, 'all'))
  its.commit('a', nanosOf(0.5))
  its.declare([])
  its.commit('b', nanosOf(0.1))
  expect(its.reserve('c', claim(9, 'all'))).toBeUndefined()
  its.declare([budget({ usd: 0.7 })])
  expect(its.states()).toMatchObject([{ usd: 0.7, spent_usd: 0.6, held_usd: 0 }])
  expect(its.reserve('d', claim(0.2, 'all'))?.reason).toBe('spent')
})

describe('whoever asks at once, and however long they take', () => {
  for (const seed of [1, 2, 3]) {
    test(`no budget is passed, and all that settles is counted to the billionth (seed ${seed})`, () => {
      const random = createRandom(seed)
      const below = (n: number) => Math.floor(random.next() * n)
      const budgets = [
        budget({ name: 'all', usd: 0.004, per: 'total' }),
        budget({ name: 'a', usd: 0.0015, per: 'total' }),
        budget({ name: 'b', usd: 0.003, per: 'total', action: 'downgrade' }),
      ]
      const { its } = ledger(budgets)
      const under: { id: string; names: string[]; cost: number }[] = []
      // what upstreams bill, known to nobody before an answer ends
      const billed = new Map(budgets.map(({ name }) => [name, 0]))
      let let_in = 0
      let refused = 0
      for (let step = 0; step < 4000; step++) {
        if (under.length < 50 && random.next() < 0.55) {
          const names = ['all', random.next() < 0.5 ? 'a' : 'b']
          const nanos = 1 + below(40_000)
          const id = String(step)
          if (its.reserve(id, { budgets: names, nanos })) refused++
          else {
            let_in++
            under.push({ id, names, cost: below(nanos + 1) })
            const { names: of, cost } = under.at(-1)!
            for (const name of of) billed.set(name, billed.get(name)! + cost)
          }
        } else if (under.length > 0) {
          const [{ id, cost }] = under.splice(below(under.length), 1) as [(typeof under)[0]]
          its.commit(id, cost)
        }
        for (const { name, usd } of budgets) {
          expect(billed.get(name)).toBeLessThanOrEqual(Math.round(usd * 1e9))
        }
      }
      for (const { id, cost } of under) its.commit(id, cost)
      expect([let_in > 100, refused > 100]).toEqual([true, true])
      for (const { name, spent_usd, held_usd } of its.states()) {
        expect([Math.round(spent_usd * 1e9), held_usd]).toEqual([billed.get(name), 0])
      }
    })
  }
})
