import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { spendCommand } from '../../../scripts/cli/commands/spend.ts'
import {
  readSpend,
  type SpendEntry,
  SpendJournal,
  SpendTable,
  spendFolder,
} from '../../../serving/budgets/spend.ts'

import { buildAdminApp, localBackend } from '../../../serving/server/admin.ts'
import { createReloader } from '../../../serving/server/reloader.ts'
import { EASY, type GatewayApp, gatewayApp, HARD, user } from '../gateway/gateway-app.ts'

const NOON = Date.UTC(2026, 10, 21, 12)
const DAY = 86_400_000
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-spend-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const line = (more: Partial<SpendEntry> = {}): SpendEntry => ({
  object: 'spend',
  id: 'r1',
  time: NOON,
  key: 'app',
  route: 'learned',
  model: 'big',
  requests: 1,
  attempts: 1,
  input_tokens: 1000,
  output_tokens: 500,
  cost_usd: 0.02,
  ...more,
})

function journal(owner = 'a', clock = { now: NOON }) {
  return new SpendJournal({ folder, owner, now: () => clock.now, onHealth: () => {} })
}

async function all(from?: string, to?: string) {
  const stats = { torn: 0 }
  const lines: SpendEntry[] = []
  const days = { ...(from ? { from } : {}), ...(to ? { to } : {}) }
  for await (const one of readSpend(folder, stats, days)) lines.push(one)
  return { lines, torn: stats.torn }
}

test('what a log shipper made of the files is read by the day, packed or not', async () => {
  for (const day of ['2026-11-21', '2026-11-22']) {
    const shipped = join(folder, `date=${day}`)
    mkdirSync(shipped)
    writeFileSync(
      join(shipped, 'a.jsonl.gz'),
      gzipSync(`${JSON.stringify(line({ id: `${day}-a` }))}\n`),
    )
    writeFileSync(join(shipped, 'b.jsonl'), `${JSON.stringify(line({ id: `${day}-b` }))}\n{"cut`)
  }
  expect(await all('2026-11-22')).toMatchObject({
    lines: [{ id: '2026-11-22-a' }, { id: '2026-11-22-b' }],
    torn: 1,
  })
  expect(await spendFolder(folder)).toBe(folder)
})

describe('the journal', () => {
  test('has a file a day and process, and gives back what it was given', async () => {
    const clock = { now: NOON }
    const first = journal('a', clock)
    first.append(line())
    first.flush()
    clock.now += DAY
    first.append(line({ id: 'r2', time: clock.now, saved_usd: -0.5 }))
    first.close()
    const second = journal('a')
    second.append(line({ id: 'r3' }))
    second.close()
    expect(readdirSync(folder).sort()).toEqual([
      'spend-2026-11-21-a-0000.jsonl',
      'spend-2026-11-21-a-0001.jsonl',
      'spend-2026-11-22-a-0000.jsonl',
    ])
    expect((await all()).lines.map(({ id }) => id)).toEqual(['r1', 'r3', 'r2'])
    expect((await all('2026-11-22')).lines).toEqual([
      line({ id: 'r2', time: clock.now, saved_usd: -0.5 }),
    ])
    expect((await all(undefined, '2026-11-21')).lines.length).toBe(2)
  })

  test('drops a last line that was cut off, and counts it', async () => {
    const its = journal()
    its.append(line())
    its.close()
    const [name] = readdirSync(folder)
    appendFileSync(join(folder, name!), JSON.stringify(line({ id: 'r2' })))
    expect(await all()).toMatchObject({ lines: [{ id: 'r1' }], torn: 1 })
  })

  test('is found in the log’s folder too, and is missed where there is none', async () => {
    const its = new SpendJournal({
      folder: join(folder, 'spend'),
      owner: 'a',
      now: () => NOON,
      onHealth: () => {},
    })
    its.append(line())
    its.close()
    expect(await spendFolder(folder)).toBe(join(folder, 'spend'))
    expect(await spendFolder(join(folder, 'spend'))).toBe(join(folder, 'spend'))
    await expect(spendFolder(join(folder, 'none'))).rejects.toMatchObject({
      code: 'file_not_found',
    })
  })
})

describe('the table', () => {
  test('sums by each name; the dearest comes first, days in their order', () => {
    const table = new SpendTable()
    table.add(line())
    table.add(line({ id: 'r2', key: 'bot', model: 'small', cost_usd: 0.5, time: NOON + DAY }))
    table.add(line({ id: 'r2', key: 'bot', model: 'big', requests: 0, saved_usd: 1 }))
    expect(table.by('key').map(({ name, requests }) => [name, requests])).toEqual([
      ['bot', 1],
      ['app', 1],
    ])
    expect(table.by('model')).toMatchObject([
      { name: 'small', cost_usd: 0.5, requests: 1 },
      { name: 'big', cost_usd: 0.04, requests: 1, attempts: 2, input_tokens: 2000, saved_usd: 1 },
    ])
    expect(table.by('day').map(({ name }) => name)).toEqual(['2026-11-21', '2026-11-22'])
  })

  test('keeps a bounded number of cells, and loses nothing of the sums', () => {
    const table = new SpendTable(50)
    for (let i = 0; i < 500; i++) table.add(line({ key: `k${i}`, model: `m${i % 2}` }))
    expect(table.cells.length).toBeLessThan(60)
    expect(table.by('model').map(({ requests }) => requests)).toEqual([250, 250])
    expect(table.by('key').find(({ name }) => name === 'other')!.requests).toBe(450)
  })
})

describe('what a gateway spends', () => {
  let gateway: GatewayApp | undefined
  afterEach(() => gateway?.close())
  const ask = (content: string) =>
    gateway!.client.chat.completions.create({
      model: 'weir',
      messages: user(content) as [{ role: 'user'; content: string }],
    })

  test('is summed by key, route, model and day, and shown on the admin port', async () => {
    gateway = await gatewayApp({}, {}, {}, (root) => ({ log: { folder: join(root, 'log') } }))
    await ask(HARD)
    await ask(EASY)
    // the weak model fails, the strong one answers
    gateway.small.otherwise = 'error_500'
    await ask(EASY)
    const { fleet, budgets } = gateway.services
    const reloader = createReloader({ fleet, onReload: () => {}, onNote: () => {} })
    const admin = buildAdminApp(
      localBackend(fleet, reloader, async () => '', budgets!.report),
      gateway.services,
      'token',
    )
    const headers = { authorization: 'Bearer token' }
    const shown = async (by: string) =>
      (await admin.inject({ url: `/admin/spend?by=${by}`, headers })).json().data
    expect(await shown('model')).toMatchObject([
      { name: 'big', requests: 2, cost_usd: 0.04, input_tokens: 2000, output_tokens: 1000 },
      // saved: what the big one would have cost for the same tokens, less what it did
      { name: 'small', requests: 1, cost_usd: 0.002, saved_usd: 0.018, uncounted: 0 },
    ])
    expect(await shown('route')).toMatchObject([{ name: 'learned', requests: 3, cost_usd: 0.042 }])
    expect(await shown('key')).toMatchObject([{ name: 'anyone', requests: 3 }])
    expect((await admin.inject({ url: '/admin/spend?by=hour', headers })).statusCode).toBe(400)
    reloader.close()
    await admin.close()
  })

  test('weir spend prints it from the log’s folder, whole and as JSON', async () => {
    gateway = await gatewayApp({}, {}, {}, () => ({ log: { folder } }))
    await ask(HARD)
    await ask(EASY)
    await gateway.close()
    const weir = async (...args: string[]): Promise<string> => {
      let text = ''
      const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
        text += String(chunk)
        return true
      })
      await spendCommand()
        .parseAsync(args, { from: 'user' })
        .finally(() => write.mockRestore())
      return text
    }
    const { rows, total, budgets } = JSON.parse(await weir(folder, '--by', 'model', '--json'))
    expect(
      rows.map(({ name, requests }: SpendEntry & { name: string }) => [name, requests]),
    ).toEqual([
      ['big', 1],
      ['small', 1],
    ])
    expect(total).toMatchObject({ requests: 2, cost_usd: 0.022, saved_usd: 0.018 })
    expect(budgets).toEqual([])
    const text = await weir(folder, '--by', 'key')
    expect(text.split('\n')[0]).toMatch(/^key +requests +input tokens .* cost USD +saved USD/)
    expect(text).toMatch(/^anyone +2 +2,000 +1,000 +0\.0220 +0\.0180 +0$/m)
    await expect(weir(folder, '--by', 'hour')).rejects.toMatchObject({ code: 'option_invalid' })
    await expect(weir(folder, '--from', 'today')).rejects.toThrow('a day such as 2026-11-21')
    const later = JSON.parse(await weir(folder, '--from', '2999-01-01', '--json'))
    expect(later).toMatchObject({ rows: [], total: { requests: 0 } })
  })
})
