import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { writeBundle } from '../../../models/bundle/write.ts'
import { readJournal } from '../../../serving/budgets/journal.ts'
import { BudgetLedger } from '../../../serving/budgets/ledger.ts'
import type { SpendReport } from '../../../serving/budgets/spend.ts'
import { lexicalDraft } from '../../scripts/lexical-draft.ts'
import { startServing, workersOf } from '../../scripts/weir-process.ts'
import { type ScriptedUpstream, scriptedUpstream } from '../upstreams/scripted-upstream.ts'
import { budget } from './budget.ts'

const WEIR = join(import.meta.dirname, '../../../scripts/weir.ts')
/** Answers count 1,000 + 500 tokens. */
const COST = 0.02
const LIMIT = 0.5
const RATE = 40
let root: string
let upstream: ScriptedUpstream
const started: ChildProcess[] = []
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-budget-serve-'))
  upstream = await scriptedUpstream()
  await writeBundle(root, await lexicalDraft(0.5))
  const model = {
    upstreams: [{ upstream: 'one' }],
    price: { input: 10, output: 20 },
    context: 8000,
    output_tokens: 600,
  }
  await writeFile(
    join(root, 'weir.json'),
    JSON.stringify({
      log: { folder: join(root, 'log') },
      rate_per_minute: RATE,
      // a busy machine is not what is tested here
      max_lag_ms: 60_000,
      gateway: {
        upstreams: { one: { base_url: upstream.url } },
        models: { big: model, small: model },
        budgets: [budget({ usd: LIMIT, per: 'total' })],
        retry_budget: 0,
      },
    }),
  )
})
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => {
  await upstream.close()
  await rm(root, { recursive: true })
})

async function serve(...options: string[]) {
  const { child, url, admin, asAdmin, errors } = await startServing(
    ['--import', 'tsx', WEIR],
    [
      join(root, 'cli'),
      ...['--config', join(root, 'weir.json'), '--port', '0', '--admin-port', '0'],
      ...options,
    ],
    started,
  )
  const ask = async (more: object = {}, signal?: AbortSignal): Promise<number> => {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      signal: signal ?? null,
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({
        model: 'big',
        messages: [{ role: 'user', content: 'why '.repeat(300) }],
        ...more,
      }),
    }).catch(() => undefined)
    await response?.text().catch(() => '')
    return response?.status ?? 0
  }
  const report = async () =>
    (await (
      await fetch(`${admin}/admin/spend?by=model`, { headers: asAdmin })
    ).json()) as SpendReport & {
      data: { requests: number; cost_usd: number }[]
    }
  return { child, ask, report, admin, asAdmin, errors }
}

test.skipIf(process.platform !== 'linux')(
  'two workers share one budget and one rate, a killed one counts for what it held, and so does a killed server',
  { timeout: 120_000 },
  async () => {
    const served = await serve('--workers', '2')
    // a worker dies with an answer under way, the other one's client goes
    const began = performance.now()
    upstream.script.push('hang', 'hang')
    const client = new AbortController()
    const hanging = [served.ask({}, client.signal), served.ask({}, client.signal)]
    await expect.poll(() => upstream.received.length, { timeout: 30_000 }).toBe(2)
    const [first] = await workersOf(served.child.pid!)
    process.kill(first!, 'SIGKILL')
    await expect.poll(served.errors, { timeout: 30_000 }).toContain('ended (SIGKILL)')
    client.abort()
    await Promise.all(hanging)
    const spent = async () => (await served.report()).budgets[0]
    await expect.poll(async () => (await spent())?.held_usd, { timeout: 30_000 }).toBe(0)
    const lost = (await spent())!.spent_usd
    // each at most 600 tokens at 20 and what 1,200 bytes come to at 10
    expect(lost).toBeGreaterThan(2 * 0.024)
    expect(lost).toBeLessThan(2 * 0.027)

    const statuses = await Promise.all(Array.from({ length: 90 }, () => served.ask()))
    const count = (status: number) => statuses.filter((one) => one === status).length
    const answered = upstream.received.length - 2
    // every request was answered or refused by the budget or the rate
    expect(count(200) + count(402) + count(429)).toBe(90)
    // a minute's worth, and what was refilled since
    const refilled = ((performance.now() - began) / 60_000) * RATE
    expect(count(200) + count(402)).toBeLessThanOrEqual(RATE + refilled)
    expect([count(402) > 0, count(429) > 0]).toEqual([true, true])
    expect(lost + answered * COST).toBeLessThanOrEqual(LIMIT)
    const [state] = (await served.report()).budgets
    expect(state).toMatchObject({ held_usd: 0 })
    expect(state!.spent_usd).toBeCloseTo(lost + answered * COST, 9)
    // a worker that still starts has no numbers yet
    const metrics = async () =>
      (await fetch(`${served.admin}/metrics`, { headers: served.asAdmin })).text()
    await expect
      .poll(metrics, { timeout: 30_000 })
      .toMatch(/^weir_budget_used_ratio\{budget="all"\} 0\.\d+$/m)

    // the whole server dies
    served.child.kill('SIGKILL')
    await once(served.child, 'exit')
    // its workers go with it; what the next one starts from
    const { state: kept } = readJournal(join(root, 'log', 'spend'))
    const ledger = new BudgetLedger(Date.now, () => {}, kept)
    ledger.declare([budget({ usd: LIMIT, per: 'total' })])
    const [after] = ledger.states()
    expect(after!.spent_usd).toBeGreaterThanOrEqual(state!.spent_usd - 1e-9)
    expect(after!.spent_usd).toBeLessThanOrEqual(LIMIT)
  },
)
