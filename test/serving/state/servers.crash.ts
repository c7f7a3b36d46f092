import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { writeBundle } from '../../../models/bundle/write.ts'
import { built } from '../../built/build.ts'
import { lexicalDraft } from '../../scripts/lexical-draft.ts'
import { type ServingProcess, startServing } from '../../scripts/weir-process.ts'
import {
  hasPostgres,
  hasRedis,
  type PostgresServer,
  postgresServer,
  redisServer,
  type StoreServer,
} from '../../stores.ts'
import { budget } from '../budgets/budget.ts'

/** Rounds in which a server or the store is killed; the long form has 50 and more. */
const ROUNDS = Math.min(50, Number(process.env.WEIR_KILLS ?? 4))
const CLIENTS = 200
const SERVERS = 3
const LEASE_SECONDS = 3
/** Answers count 100 + 50 tokens at 10 and 20 dollars a million; a bound is about 1.4 times that. */
const COST = 0.002
const REQUESTS = Math.max(1000, 300 * ROUNDS)
const LIMIT = REQUESTS * COST
const RATE = 40

describe.skipIf(!hasPostgres || !hasRedis)('three servers with both stores', () => {
  let root: string
  let postgres: PostgresServer
  let redis: StoreServer
  let billed = 0
  const upstream = createServer(async (request, response) => {
    for await (const _ of request);
    billed++
    await wait(15)
    response.setHeader('content-type', 'application/json')
    response.end(
      JSON.stringify({
        ...{ id: 'c', object: 'chat.completion', created: 1, model: 'm' },
        choices: [
          { index: 0, message: { role: 'assistant', content: 'yes' }, finish_reason: 'stop' },
        ],
        usage: { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 },
      }),
    )
  })
  // on a busy machine it may close an idle connection as a request comes, and retries are off here
  upstream.keepAliveTimeout = 0
  const started: ChildProcess[] = []
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'weir-servers-'))
    ;[postgres, redis] = await Promise.all([postgresServer(), redisServer()])
    await writeBundle(root, await lexicalDraft(0.5))
    upstream.listen(0, '127.0.0.1')
    await once(upstream, 'listening')
  }, 120_000)
  afterAll(async () => {
    for (const child of started) child.kill('SIGKILL')
    upstream.close()
    upstream.closeAllConnections()
    await Promise.all([postgres.close(), redis.close()])
    await rm(root, { recursive: true })
  }, 60_000)

  async function configure(name: string, more: object, gateway: object = {}): Promise<string> {
    const { port } = upstream.address() as AddressInfo
    const model = {
      upstreams: [{ upstream: 'one' }],
      price: { input: 10, output: 20 },
      ...{ context: 8000, output_tokens: 50 },
    }
    const config = {
      state: {
        stores: [postgres.url(), redis.url()],
        ...{ replicas: SERVERS, lease_seconds: LEASE_SECONDS, deadline_ms: 5000 },
      },
      ...{ max_lag_ms: 60_000, deadline_ms: 5000, ...more },
      gateway: {
        upstreams: { one: { base_url: `http://127.0.0.1:${port}/v1` } },
        ...{ models: { big: model, small: model }, retry_budget: 0, ...gateway },
      },
    }
    const path = join(root, `${name}.json`)
    await writeFile(path, JSON.stringify(config))
    return path
  }
  const serve = (config: string): Promise<ServingProcess> =>
    startServing(
      [join(built(), 'scripts/weir.js')],
      [join(root, 'cli'), '--config', config, '--port', '0'],
      started,
    )
  /** @returns the status; 0 if the server was killed meanwhile */
  async function chat({ url }: ServingProcess, headers: object = {}): Promise<number> {
    try {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({
          model: 'big',
          ...{
            messages: [{ role: 'user', content: 'why is the sky blue? '.repeat(4) }],
            max_tokens: 50,
          },
        }),
      })
      await response.text()
      return response.status
    } catch {
      return 0
    }
  }
  const kill = async ({ child }: ServingProcess): Promise<void> => {
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  test(`spend one budget to its end and never above, while ${ROUNDS} times a server or the store is killed`, {
    timeout: 60_000 + 30_000 * ROUNDS,
  }, async () => {
    const config = await configure(
      'budget',
      {},
      { budgets: [budget({ usd: LIMIT, per: 'total' })] },
    )
    const servers = await Promise.all(Array.from({ length: SERVERS }, () => serve(config)))
    const random = createRandom(1)
    let answered = 0
    let stopped = false
    const seen = new Map<number, number>()
    const clients = Array.from({ length: CLIENTS }, async (_, i) => {
      for (let turn = i; !stopped; turn++) {
        const status = await chat(servers[turn % SERVERS]!)
        seen.set(status, (seen.get(status) ?? 0) + 1)
        if (status === 200) answered++
        else await wait(200)
      }
    })
    for (let round = 0; round < ROUNDS; round++) {
      await wait(200 + random.int(800))
      const victim = random.int(SERVERS + 1)
      if (victim === SERVERS) {
        await postgres.kill()
        await wait(random.int(500))
        await postgres.start()
      } else {
        await kill(servers[victim]!)
        servers[victim] = await serve(config)
      }
    }
    // until nothing more fits, once the leases of killed servers have ended
    const state = (): { spent: number; held: number; lost: number } => {
      const [spent, held] = postgres
        .sql(`SELECT spent, held FROM weir_budgets WHERE name = 'all'`)
        .split('|')
        .map(Number)
      const lost = Number(
        postgres.sql(`SELECT count(*) FROM weir_reservations WHERE state = 'lost'`),
      )
      return { spent: spent! / 1e9, held: held! / 1e9, lost }
    }
    await expect
      .poll(() => state().spent / LIMIT, { timeout: 50_000 + 20_000 * ROUNDS, interval: 500 })
      .toBeGreaterThan(0.99)
    stopped = true
    await Promise.all(clients)
    await expect.poll(() => state().held, { timeout: 20_000 }).toBe(0)
    const { spent, lost } = state()
    console.info(
      `${answered} answered, ${billed} billed, ${(spent / COST).toFixed(1)} of ${REQUESTS} counted, ${lost} of them lost; statuses ${JSON.stringify([...seen])}`,
    )
    expect(spent).toBeLessThanOrEqual(LIMIT + 1e-9)
    // what was billed is counted, and nothing twice: only lost ones may have reached no upstream
    expect(billed * COST).toBeLessThanOrEqual(spent + 1e-9)
    expect(billed).toBeGreaterThanOrEqual(Math.round(spent / COST) - lost)
    expect(answered).toBeLessThanOrEqual(billed)
    for (const server of servers) await kill(server)
  })

  test('let through one rate, also after one of them was killed', {
    timeout: 120_000,
  }, async () => {
    const config = await configure('rate', { rate_per_minute: RATE })
    const servers = await Promise.all(Array.from({ length: SERVERS }, () => serve(config)))
    const began = performance.now()
    const first = await Promise.all(
      Array.from({ length: CLIENTS }, (_, i) => chat(servers[i % SERVERS]!)),
    )
    await kill(servers[0]!)
    const second = await Promise.all(
      Array.from({ length: CLIENTS }, (_, i) => chat(servers[1 + (i % 2)]!)),
    )
    const through = [...first, ...second].filter((status) => status === 200).length
    // one window only
    if (performance.now() - began < 55_000) expect(through).toBeLessThanOrEqual(RATE + 1)
    expect(through).toBeGreaterThanOrEqual(RATE)
    for (const server of servers.slice(1)) await kill(server)
  })

  test('are replaced one by one under load, and no request fails', {
    timeout: 300_000,
  }, async () => {
    const config = await configure(
      'rollout',
      {},
      { budgets: [budget({ name: 'rollout', usd: 1000 })] },
    )
    const servers = await Promise.all(Array.from({ length: SERVERS }, () => serve(config)))
    /** what the load balancer sends requests to */
    let ready = [...servers]
    let stopped = false
    const statuses: number[] = []
    const clients = Array.from({ length: 10 }, async (_, i) => {
      for (let turn = i; !stopped; turn++) {
        statuses.push(await chat(ready[turn % ready.length]!, { connection: 'close' }))
        await wait(20)
      }
    })
    for (const old of servers) {
      const fresh = await serve(config)
      ready = [...ready.filter((one) => one !== old), fresh]
      // requests on their way to the old one arrive, as the preStop of docs/deploy/kubernetes sees to
      await wait(500)
      const ended = once(old.child, 'exit')
      old.child.kill('SIGTERM')
      await ended
    }
    stopped = true
    await Promise.all(clients)
    expect(statuses.filter((status) => status !== 200)).toEqual([])
    const spent =
      Number(postgres.sql(`SELECT spent FROM weir_budgets WHERE name = 'rollout'`)) / 1e9
    expect(spent).toBeLessThanOrEqual(statuses.length * COST + 1e-9)
    await expect
      .poll(
        () => Number(postgres.sql(`SELECT spent FROM weir_budgets WHERE name = 'rollout'`)) / 1e9,
      )
      .toBeCloseTo(statuses.length * COST, 6)
  })
})
