import { appendFile, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { withStoreLock } from '../../../records/postgres.ts'
import { spendCommand } from '../../../scripts/cli/commands/spend.ts'
import { approve, approvedState, propose } from '../../../serving/audit/approvals.ts'
import { openAuditLog } from '../../../serving/audit/audit-log.ts'
import { verifyAudit } from '../../../serving/audit/verify.ts'
import type { BudgetAlert } from '../../../serving/budgets/ledger.ts'
import { assertShared } from '../../../serving/budgets/open.ts'
import {
  openPostgresBudgets,
  type PostgresBudgetStore,
  type PostgresBudgetsOptions,
} from '../../../serving/budgets/postgres-store.ts'
import { DELIVERED_FILE, readSharedSpend } from '../../../serving/budgets/shared-spend.ts'
import type { GatewayConfig } from '../../../serving/gateway/config.ts'
import type { ServeConfig } from '../../../serving/server/config.ts'
import { stateSettings } from '../../../serving/state/config.ts'
import { RateLimit } from '../../../serving/state/rate-limit.ts'
import { openRedis, type RedisState } from '../../../serving/state/redis.ts'
import { contendForLock } from '../../core/contend-for-lock.ts'
import {
  eventually,
  hasPostgres,
  hasRedis,
  type PostgresServer,
  postgresServer,
  redisServer,
  type StoreServer,
} from '../../stores.ts'
import { budget } from '../budgets/budget.ts'
import { type GatewayApp, gatewayApp, HARD, user } from '../gateway/gateway-app.ts'

const DOLLAR = 1e9
const opened: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

test('two stores of one kind are refused, and so are budgets that several servers would each spend', () => {
  expect(stateSettings({ stores: ['postgres://a/b', 'valkey://c:6379'] })).toMatchObject({
    postgres: 'postgres://a/b',
    redis: 'redis://c:6379',
    replicas: 1,
  })
  expect(() => stateSettings({ stores: ['redis://a', 'valkey://b'] })).toThrow('state.stores')
  expect(() => assertShared(3, undefined)).toThrow(
    'state.stores: expected postgres://..., because each of 3 servers would spend the budgets in full',
  )
  assertShared(3, {})
  assertShared(1, undefined)
})

let server: PostgresServer
beforeAll(async () => {
  if (hasPostgres) server = await postgresServer()
}, 60_000)
afterAll(() => server?.close(), 60_000)

describe.skipIf(!hasPostgres)('budgets in PostgreSQL', () => {
  let databases = 0
  let database: string
  const alerts: BudgetAlert[] = []
  const warnings: string[] = []

  const fresh = (): void => {
    database = `b${++databases}`
    server.sql(`CREATE DATABASE ${database}`)
    alerts.length = 0
    warnings.length = 0
  }
  const replica = async (
    options: Partial<PostgresBudgetsOptions> = {},
    settings = [budget({ usd: 1, alert_at: [0.5] })],
  ): Promise<PostgresBudgetStore> => {
    const store = await openPostgresBudgets({
      url: server.url(database),
      leaseMs: 30_000,
      lostReservations: 'expected',
      budgetsWhenGone: 'closed',
      deadlineMs: 20_000,
      now: Date.now,
      onWarning: (message) => warnings.push(message),
      onAlert: (alert) => alerts.push(alert),
      ...options,
    })
    opened.push(store)
    store.declare(settings)
    return store
  }
  const claim = (nanos: number) => ({ budgets: ['all'], nanos })
  const stateOf = async (store: PostgresBudgetStore) => (await store.states())[0]!

  test('servers that start together share them, and never spend more than one budget', async () => {
    fresh()
    const stores = await Promise.all([replica(), replica(), replica()])
    let admitted = 0
    await Promise.all(
      Array.from({ length: 150 }, async (_, i) => {
        const store = stores[i % 3]!
        const refusal = await store.reserve(`r${i}`, claim(DOLLAR / 50))
        if (refusal)
          expect(refusal).toMatchObject({ budget: 'all', action: 'stop', reason: 'held' })
        else {
          admitted++
          store.commit(`r${i}`, DOLLAR / 100)
        }
      }),
    )
    expect(admitted).toBeGreaterThanOrEqual(50)
    await eventually(async () => (await stateOf(stores[0]!)).held_usd === 0)
    const { spent_usd, refused } = await stateOf(stores[1]!)
    expect(spent_usd).toBeCloseTo(admitted / 100, 9)
    expect(spent_usd).toBeLessThanOrEqual(1)
    expect(refused).toBe(150 - admitted)
    expect(alerts.filter(({ level }) => level === 'refusing')).toHaveLength(1)
  })

  test('a claim is refused for what is spent, held, or too large, and a commit counts once', async () => {
    fresh()
    const store = await replica()
    expect(await store.reserve('a', claim(0.6 * DOLLAR))).toBeUndefined()
    expect(await store.reserve('b', claim(0.6 * DOLLAR))).toMatchObject({
      reason: 'held',
      retryAfter: 1,
    })
    expect(await store.reserve('c', claim(2 * DOLLAR))).toMatchObject({ reason: 'too_large' })
    expect(store.query(claim(3 * DOLLAR))).toMatchObject({ reason: 'too_large' })
    store.commit('a', 0.5 * DOLLAR)
    store.commit('a', 0.5 * DOLLAR)
    await eventually(async () => (await stateOf(store)).spent_usd === 0.5)
    expect(alerts.map(({ level }) => level)).toEqual(['refusing', 0.5])
    const refusal = await store.reserve('d', claim(0.6 * DOLLAR))
    expect(refusal).toMatchObject({ reason: 'spent', per: 'day', usd: 1 })
    expect(refusal!.retryAfter).toBeGreaterThan(0)
  })

  test('all budgets of a claim must have room; one that stops comes before one that downgrades', async () => {
    fresh()
    const settings = [
      budget({ name: 'z-small', usd: 0.1, per: 'total', action: 'downgrade' }),
      budget({ name: 'all', usd: 0.2 }),
      budget({ name: 'told', usd: 0.01, action: 'alert', alert_at: [1] }),
    ]
    const store = await replica({}, settings)
    const both = { budgets: ['z-small', 'all', 'told'], nanos: 0.15 * DOLLAR }
    expect(await store.reserve('a', both)).toMatchObject({ budget: 'z-small', action: 'downgrade' })
    expect((await store.states()).map(({ held_usd }) => held_usd)).toEqual([0, 0, 0])
    const more = { ...both, nanos: 0.3 * DOLLAR }
    expect(await store.reserve('b', more)).toMatchObject({ budget: 'all', action: 'stop' })
    expect(await store.reserve('c', { ...both, nanos: 0.05 * DOLLAR })).toBeUndefined()
    expect((await store.states()).map(({ held_usd }) => held_usd)).toEqual([0.05, 0.05, 0.05])
  })

  test.each([
    ['expected', 0.5 + 0.05],
    ['bound', 0.5 + 0.1],
    ['nothing', 0.5],
  ] as const)(
    'what a lost server has left counts as %s once its lease has ended',
    async (rule, spent) => {
      fresh()
      const store = await replica({ lostReservations: rule, leaseMs: 300 })
      // half of the bounds were paid so far
      await Promise.all(
        [1, 2, 3, 4, 5].map(async (i) => {
          expect(await store.reserve(`r${i}`, claim(0.2 * DOLLAR))).toBeUndefined()
        }),
      )
      for (const i of [1, 2, 3, 4, 5]) store.commit(`r${i}`, 0.1 * DOLLAR)
      await eventually(async () => (await stateOf(store)).spent_usd === 0.5)
      server.sql(
        `INSERT INTO weir_owners VALUES ('lost', clock_timestamp() + interval '0.2 s');
       INSERT INTO weir_reservations (id, owner, nanos, periods, state)
         SELECT 'lost:1', 'lost', 100000000, jsonb_build_object('all', period), 'open' FROM weir_budgets;
       UPDATE weir_budgets SET held = held + 100000000`,
        database,
      )
      expect((await stateOf(store)).held_usd).toBe(0.1)
      await eventually(async () => (await stateOf(store)).held_usd === 0)
      expect((await stateOf(store)).spent_usd).toBeCloseTo(spent, 9)
      expect(warnings.join()).toContain('1 answers were under way when their server was lost')
      // it was only slow: what it says in the end is what counts
      const settle = JSON.stringify([
        { id: 'lost:1', nanos: 70_000_000, budgets: [{ name: 'all', per: 'day', limit: 1e9 }] },
      ])
      for (let i = 0; i < 2; i++) {
        server.sql(`SELECT weir_budgets_v1('lost', '${settle}', '[]', '[]')`, database)
      }
      expect((await stateOf(store)).spent_usd).toBeCloseTo(0.57, 9)
    },
  )

  test('while the store is gone, requests are refused or let through as configured, and nothing is lost', async () => {
    fresh()
    const closed = await replica({ deadlineMs: 300 })
    const open = await replica({ deadlineMs: 300, budgetsWhenGone: 'open' })
    expect(await closed.reserve('a', claim(0.1 * DOLLAR))).toBeUndefined()
    await server.kill()
    closed.commit('a', 0.05 * DOLLAR)
    await expect(closed.reserve('b', claim(0.1 * DOLLAR))).rejects.toMatchObject({
      code: 'store_unavailable',
    })
    expect(await open.reserve('c', claim(0.1 * DOLLAR))).toBeUndefined()
    const before = performance.now()
    await expect(closed.reserve('d', claim(0.1 * DOLLAR))).rejects.toThrow('cannot be used')
    expect(performance.now() - before).toBeLessThan(400)
    open.commit('c', 0.02 * DOLLAR)
    await server.start()
    await eventually(async () => {
      const { spent_usd, held_usd } = await stateOf(closed).catch(() => ({
        spent_usd: 0,
        held_usd: 1,
      }))
      return Math.abs(spent_usd - 0.07) < 1e-9 && held_usd === 0
    })
    await eventually(
      async () =>
        (await Promise.resolve(closed.reserve('e', claim(1))).catch(() => 'gone')) === undefined,
    )
    expect(
      warnings.filter((line) => line.includes('requests that they count are refused')),
    ).toHaveLength(1)
    expect(warnings.filter((line) => line.includes('let through and counted later'))).toHaveLength(
      1,
    )
    expect(warnings.filter((line) => line.includes('answers again')).length).toBeGreaterThan(0)
  }, 30_000)

  test('tables of one release ahead are used, and of two are refused', async () => {
    fresh()
    await replica()
    server.sql(`UPDATE weir_schema SET version = version + 1 WHERE part = 'budgets'`, database)
    await replica()
    server.sql(`UPDATE weir_schema SET version = version + 1 WHERE part = 'budgets'`, database)
    await expect(replica()).rejects.toThrow('of a later release')
  })
})

describe.skipIf(!hasPostgres)('audit and approvals in PostgreSQL', () => {
  test('servers continue one chain, and a changed record is found', async () => {
    server.sql('CREATE DATABASE audit')
    const place = server.url('audit')
    const servers = await Promise.all(
      [1, 2, 3].map((process) =>
        openAuditLog({ place, who: { user: 'u', host: 'h', process }, now: () => new Date() }),
      ),
    )
    const event = { event: 'policy_loaded', name: 'p', why: 'start' } as const
    await Promise.all(servers.map((log, i) => log.record({ ...event, hash: `h${i}` })))
    // another worker of the same server
    await servers[0]!.record({ ...event, name: 'q', hash: 'h' })
    await servers[0]!.record({ ...event, name: 'q', hash: 'h' })
    const report = await verifyAudit(place)
    expect(report.records.map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
    expect(report.faults).toEqual([])
    expect(report.path).not.toContain('file')
    server.sql(
      `UPDATE weir_audit SET line = replace(line, '"start"', '"reload"') WHERE seq = 2`,
      'audit',
    )
    expect((await verifyAudit(place)).faults).toMatchObject([{ line: 3 }])
  })

  test('a policy that one person proposes and another approves may be served by all', async () => {
    server.sql('CREATE DATABASE approvals')
    const place = server.url('approvals')
    const person = (name: string) => ({ name, user: 'u', host: 'h' })
    const given = { text: 'version: 1', path: 'policy.yaml', by: person('Alice') }
    const { id } = await propose(place, given, new Date())
    const candidate = { text: given.text, path: given.path, hash: 'x' }
    await expect(approvedState(place, candidate)).rejects.toMatchObject({
      code: 'policy_unapproved',
    })
    await expect(approve(place, id, person('Alice'), new Date())).rejects.toThrow(
      'another one must',
    )
    await approve(place, id, person('Bob'), new Date())
    expect((await approvedState(place, candidate)).approval.by.name).toBe('Bob')
  })
})

describe.skipIf(!hasPostgres)('a lock in PostgreSQL', () => {
  const take = (name: string, deadlineMs: number, work: (lost: AbortSignal) => Promise<unknown>) =>
    withStoreLock(server.url(), name, { deadlineMs }, work)

  test('is held by one at a time, and by its name', async () => {
    const told: string[] = []
    const first = take('rollout of demo', 20_000, async () => {
      told.push('first in')
      await expect(take('rollout of demo', 50, async () => {})).rejects.toMatchObject({
        code: 'lock_timeout',
        message: expect.stringContaining('rollout of demo in postgres://weir@127.0.0.1'),
      })
      await take('rollout of other', 20_000, async () => told.push('other in'))
      told.push('first out')
    })
    await expect.poll(() => told).toContain('first in')
    await take('rollout of demo', 20_000, async () => told.push('second in'))
    await first
    expect(told).toEqual(['first in', 'other in', 'first out', 'second in'])
  })

  test('tells its holder that it is lost', async () => {
    const lost = take('rollout of demo', 20_000, async (signal) => {
      server.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
      await expect.poll(() => signal.aborted).toBe(true)
      signal.throwIfAborted()
    })
    await expect(lost).rejects.toMatchObject({ code: 'store_unavailable' })
    await take('rollout of demo', 20_000, async () => {})
  })

  test('holds while processes contend for it and are killed; the crash suite does this 2,000 times', async () => {
    const found = await contendForLock({ takings: 20, kills: 2, store: server.url() })
    expect(found.overlaps).toEqual([])
    expect(found.takings).toBeGreaterThanOrEqual(20)
    expect(found.killedHolding).toBeLessThan(found.kills)
  })
})

describe.skipIf(!hasPostgres || !hasRedis)('two servers with both stores', () => {
  let redis: StoreServer
  beforeAll(async () => {
    redis = await redisServer()
  })
  afterAll(() => redis.close())

  /** Answers count 1,000 + 500 tokens: $0.02 of the big model's, $0.002 of the small one's. */
  const models = {
    small: { upstreams: [{ upstream: 'little' }], price: { input: 1, output: 2 }, context: 4000 },
    big: {
      upstreams: [{ upstream: 'large' }],
      price: { input: 10, output: 20 },
      context: 4000,
      output_tokens: 1500,
    },
  }
  const state = (more: object = {}) => ({
    stores: [server.url(), redis.url()],
    replicas: 2,
    deadline_ms: 20_000,
    ...more,
  })
  const weir = async (gateway: Partial<GatewayConfig>, config: Partial<ServeConfig> = {}) => {
    const app = await gatewayApp(
      { models, retry_budget: 0, ...gateway },
      { state: state(), ...config },
    )
    opened.push(app)
    return app
  }
  const ask = (app: GatewayApp, content: string, options: object = {}) =>
    app.client.chat.completions
      .create(
        { model: 'weir', messages: user(content.padEnd(1200, ' .')), max_tokens: 600 } as never,
        options,
      )
      .withResponse()

  test('spend one budget, without a folder of their own, and show the same', async () => {
    const budgets = [budget({ usd: 0.05 })]
    const [one, two] = [await weir({ budgets }), await weir({ budgets })]
    // until an answer's cost is counted, a moment later, its upper bound is held
    const spent = (usd: number) =>
      expect
        .poll(async () => (await two.services.budgets!.report()).budgets[0]!.spent_usd)
        .toBe(usd)
    await ask(one, HARD)
    await spent(0.02)
    await ask(two, HARD)
    await spent(0.04)
    await expect(ask(one, HARD)).rejects.toMatchObject({ status: 402, code: 'budget_spent' })
    const states = await Promise.all(
      [one, two].map(async ({ services }) => (await services.budgets!.report()).budgets[0]!),
    )
    expect(states).toMatchObject([{ spent_usd: 0.04 }, { spent_usd: 0.04 }])
    await one.services.close()
    const metrics = (await two.app.inject({ url: '/metrics' })).body
    expect(metrics).toContain('weir_budget_used_ratio{budget="all"}')
  })

  test('keep what they have spent in one table, each entry once, also what was written while it was gone', async () => {
    const root = await mkdtemp(join(tmpdir(), 'weir-spending-'))
    opened.push({ close: () => rm(root, { recursive: true }) })
    const database = server.url('spending')
    server.sql('CREATE DATABASE spending')
    const place = { stores: database, deadline_ms: 20_000 }
    const spending = (name: string) =>
      weir({ spend: { folder: join(root, name) } }, { state: place })
    const asked = async () => {
      const rows: string[] = []
      for await (const { id, cost_usd } of readSharedSpend(database)) rows.push(`${id} ${cost_usd}`)
      return rows
    }
    const [one, two] = [await spending('one'), await spending('two')]
    await ask(one, HARD)
    await ask(two, HARD)
    await eventually(async () => (await asked()).length === 2)
    await server.kill()
    try {
      await ask(one, HARD)
      // it ends before the store is back: its files wait for the next process
      await one.services.close()
    } finally {
      await server.start()
    }
    const file = (await readdir(join(root, 'one'))).find((name) => name.endsWith('.jsonl'))!
    // a crash cut the last line off, and what was delivered is forgotten: it counts once all the same
    await appendFile(join(root, 'one', file), '{"object":"spend","id":"cut')
    await rm(join(root, 'one', DELIVERED_FILE))
    await spending('one')
    await eventually(async () => (await asked()).length === 3)
    await two.services.close()
    const rows = await asked()
    expect(new Set(rows).size).toBe(3)
    expect(rows.map((row) => row.split(' ')[1])).toEqual(['0.02', '0.02', '0.02'])
    const told: string[] = []
    const log = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      told.push(String(text))
      return true
    })
    await spendCommand().parseAsync([database, '--by', 'model', '--json'], { from: 'user' })
    log.mockRestore()
    expect(JSON.parse(told.join(''))).toMatchObject({
      rows: [{ name: 'big', requests: 3, cost_usd: 0.06 }],
      budgets: [],
    })
    for await (const _ of readSharedSpend(database, { to: '2020-01-01' })) expect.unreachable()
  })

  test('let through one rate', async () => {
    const apps = [await weir({}, { rate_per_minute: 5 }), await weir({}, { rate_per_minute: 5 })]
    const codes = await Promise.all(
      Array.from({ length: 16 }, async (_, i) => {
        const url = '/route'
        const { statusCode } = await apps[i % 2]!.app.inject({
          method: 'POST',
          url,
          payload: { prompt: 'x' },
        })
        return statusCode
      }),
    )
    expect(codes.filter((code) => code === 200)).toHaveLength(5)
    expect(codes.filter((code) => code === 429)).toHaveLength(11)
  })

  test('refuse to start with budgets that they would each spend', async () => {
    const alone = weir({ budgets: [budget()] }, { state: { stores: 'memory', replicas: 2 } })
    await expect(alone).rejects.toThrow('state.stores: expected postgres://')
  })

  test('take feedback on each other’s decisions, while PostgreSQL is gone too, and lose none of it', async () => {
    const root = await mkdtemp(join(tmpdir(), 'weir-feedback-'))
    opened.push({ close: () => rm(root, { recursive: true }) })
    const spool = (name: string) => ({ spool: join(root, name), deadline_ms: 1000 })
    const store = server.url()
    const [one, two] = [
      await weir({}, { store, state: state(spool('one')) }),
      await weir({}, { store, state: state(spool('two')) }),
    ]
    const decide = async (): Promise<string> => {
      const payload = { prompt: HARD }
      return (await one.app.inject({ method: 'POST', url: '/route', payload })).json().id
    }
    const rate = async (app: GatewayApp, id: string): Promise<number> => {
      const payload = { decision_id: id, score: 0.5, source: 'user' }
      return (await app.app.inject({ method: 'POST', url: '/feedback', payload })).statusCode
    }
    const stored = (): string[] =>
      server.sql('SELECT decision_id FROM weir_feedback ORDER BY 1').split('\n')
    const ids = [await decide(), await decide(), await decide()]
    expect(await rate(two, ids[0]!)).toBe(200)
    await server.kill()
    try {
      expect(await rate(two, ids[1]!)).toBe(200)
      expect(await rate(one, ids[2]!)).toBe(200)
      // it ends before the store is back: what waits is for the next process
      await one.services.close()
    } finally {
      await server.start()
    }
    const next = await weir({}, { store, state: state(spool('one')) })
    expect(next.url).not.toBe(one.url)
    await eventually(() => stored().length === 3)
    expect(stored()).toEqual([...ids].sort())
  })

  test('refuse to start where a store does not answer', async () => {
    const stores = ['redis://127.0.0.1:1']
    await expect(weir({}, { state: { stores } })).rejects.toMatchObject({
      code: 'store_unavailable',
    })
    const durable = { stores: 'postgres://weir@127.0.0.1:1/x' }
    await expect(weir({ budgets: [budget()] }, { state: durable })).rejects.toMatchObject({
      code: 'store_unavailable',
    })
  })
})

describe.skipIf(!hasRedis)('rates and sessions in Redis', () => {
  let redis: StoreServer
  beforeAll(async () => {
    redis = await redisServer()
  })
  afterAll(() => redis.close())
  const warnings: string[] = []
  const replica = async (replicas = 2, own = new RateLimit()): Promise<RedisState> => {
    const state = await openRedis({
      url: redis.url(),
      own,
      replicas,
      // a busy machine is not what is tested here
      deadlineMs: 20_000,
      onWarning: (message) => warnings.push(message),
    })
    opened.push(state)
    return state
  }
  const tried = async (states: readonly RedisState[], client: string, tries: number) => {
    let through = 0
    await Promise.all(
      Array.from({ length: tries }, async (_, i) => {
        try {
          await states[i % states.length]!.rates.take(client, 20)
          through++
        } catch (error) {
          expect(error).toMatchObject({ code: 'rate_limited' })
        }
      }),
    )
    return through
  }

  test('three servers let through one limit together', async () => {
    const states = await Promise.all([replica(), replica(), replica()])
    expect(await tried(states, 'a', 100)).toBe(20)
    expect(await tried(states, 'a', 100)).toBe(0)
    expect(await tried(states, 'b', 10)).toBe(10)
  })

  test('a busy server takes tokens in blocks, and no server lets through more than the limit with them', async () => {
    const states = await Promise.all([replica(), replica(), replica()])
    let [through, asked, refused] = [0, 0, 0]
    const take = async (i: number): Promise<void> => {
      try {
        const waits = states[i % 3]!.rates.take('busy', 3000)
        if (waits) asked++
        await waits
        through++
      } catch (error) {
        expect(error).toMatchObject({ code: 'rate_limited' })
        refused++
      }
    }
    // one after the other, then at once, then until nobody has any left
    for (let i = 0; i < 600; i++) await take(i)
    expect(asked).toBeLessThan(150)
    await Promise.all(Array.from({ length: 600 }, (_, i) => take(i)))
    for (let i = 0; refused < 300; i++) await take(i)
    expect(through).toBe(3000)

    // tokens end with their window
    const [state] = states
    for (let i = 0; i < 40; i++) await state!.rates.take('later', 30_000)
    expect(state!.rates.take('later', 30_000)).toBeUndefined()
    const clock = performance.now() + 61_000
    const later = vi.spyOn(performance, 'now').mockImplementation(() => clock)
    try {
      await expect(state!.rates.take('later', 30_000)).resolves.toBeUndefined()
    } finally {
      later.mockRestore()
    }
  })

  test('what one server says of a session, another reads, until it expires', async () => {
    const [one, two] = await Promise.all([replica(), replica()])
    one!.set('sticky:s', 'big', 60_000)
    await eventually(async () => (await two!.get('sticky:s')) === 'big')
    one!.set('short', 'x', 30)
    await eventually(async () => (await two!.get('short')) === undefined)
  })

  test('without Redis each server keeps its share of the rates, forgets others’ sessions, and comes back', async () => {
    // two workers, whose primary keeps the server's rates
    const own = new RateLimit()
    const [state, other] = await Promise.all([replica(4, own), replica(4, own)])
    await redis.kill()
    warnings.length = 0
    await wait(20)
    expect(await tried([state, other], 'c', 50)).toBe(5)
    expect(await state.get('sticky:s')).toBeUndefined()
    state.set('sticky:s', 'big', 1000)
    await redis.start()
    await eventually(async () => {
      state.set('back', 'yes', 60_000)
      return (await state.get('back')) === 'yes'
    })
    expect(await tried([state], 'd', 50)).toBe(20)
  })
})
