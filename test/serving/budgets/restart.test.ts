import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { lockFolder } from '../../../core/lock.ts'
import { createRandom } from '../../../core/random.ts'
import { BudgetJournal, readJournal } from '../../../serving/budgets/journal.ts'
import { BudgetLedger } from '../../../serving/budgets/ledger.ts'
import type { BudgetSettings } from '../../../serving/budgets/settings.ts'
import {
  type LocalBudgetStore,
  openDiskStore,
  openLocalStore,
} from '../../../serving/budgets/store.ts'
import { budget } from './budget.ts'

const NOON = Date.UTC(2026, 10, 21, 12)
let folder: string
const warnings: string[] = []
const opened: LocalBudgetStore[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-budgets-'))
  warnings.length = 0
})
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A server's start. One that was opened before and not closed has crashed: its settlements are not all on disk. */
function start(budgets: readonly BudgetSettings[] = [budget({ per: 'total' })], now = NOON) {
  const store = openDiskStore({
    folder,
    // a crash in here ends no process: nothing would give a lock back
    lock: () => ({ release: () => {} }),
    now: () => now,
    onWarning: (message) => warnings.push(message),
    onAlert: ({ level }) => warnings.push(`alert ${level}`),
  })
  opened.push(store)
  store.declare(budgets)
  return store
}

const claim = (nanos: number, ...budgets: string[]) => ({ budgets, nanos })
const spent = (store: LocalBudgetStore) =>
  store.states().map(({ spent_usd }) => Math.round(spent_usd * 1e9))
const newest = () =>
  join(
    folder,
    readdirSync(folder)
      .filter((name) => name.startsWith('budget-'))
      .sort()
      .at(-1)!,
  )

test('a server that was stopped goes on where it was', () => {
  const first = start()
  first.reserve('a', claim(500, 'all'))
  first.commit('a', 300)
  first.close()
  expect(spent(start())).toEqual([300])
  expect(warnings).toEqual([])
})

test('what was under way when it crashed counts at its upper bound', () => {
  const first = start()
  first.reserve('a', claim(500, 'all'))
  first.commit('a', 300)
  first.reserve('b', claim(200, 'all'))
  const second = start()
  expect(spent(second)).toEqual([300 + 200])
  expect(warnings).toEqual([
    'budgets: 1 answers were under way when the server ended; up to $0.0000 counts as spent',
  ])
  // and once only
  second.close()
  expect(spent(start())).toEqual([500])
})

test('a settlement that never reached the disk counts at its claim', () => {
  const first = start()
  first.reserve('a', claim(500, 'all'))
  first.commit('a', 300)
  expect(spent(start())).toEqual([500])
})

test('levels that were told are not told again', () => {
  const budgets = [budget({ usd: 1e-6, per: 'total', alert_at: [0.5, 0.9] })]
  const first = start(budgets)
  first.reserve('a', claim(600, 'all'))
  first.commit('a', 600)
  first.close()
  const second = start(budgets)
  second.reserve('b', claim(350, 'all'))
  second.commit('b', 350)
  expect(warnings).toEqual(['alert 0.5', 'alert 0.9'])
})

test('a budget of yesterday is whole today', () => {
  const first = start([budget(), budget({ name: 'month', per: 'month' })])
  first.reserve('a', claim(600, 'all', 'month'))
  first.commit('a', 600)
  first.reserve('b', claim(100, 'all', 'month'))
  first.close()
  const second = start([budget(), budget({ name: 'month', per: 'month' })], NOON + 86_400_000)
  expect(spent(second)).toEqual([0, 700])
})

test('a last line that was cut off is left out and told', () => {
  const first = start()
  first.reserve('a', claim(500, 'all'))
  appendFileSync(newest(), '{"object":"hold","id":"b","nanos":7')
  expect(spent(start())).toEqual([500])
  expect(warnings).toContainEqual(expect.stringContaining('1 lines'))
})

test('a segment whose state was cut off is passed over for the one before it', () => {
  const first = start()
  first.reserve('a', claim(500, 'all'))
  const { segments } = readJournal(folder)
  const torn = `budget-${String(segments.at(-1)! + 1).padStart(8, '0')}.jsonl`
  writeFileSync(join(folder, torn), '{"object":"budget_state","format":1,"ti')
  expect(spent(start())).toEqual([500])
})

describe('a journal that somebody emptied or deleted is noticed:', () => {
  const files = () => readdirSync(folder).filter((name) => name.startsWith('budget-'))
  const remove = (names: readonly string[]): void => {
    for (const name of names) rmSync(join(folder, name))
  }
  /** Two starts and some spending, as the files of a server that has run before. */
  const spend = (): void => {
    for (const id of ['a', 'b']) {
      const store = start()
      store.reserve(id, claim(500, 'all'))
      store.commit(id, 300)
      store.close()
    }
    const entry = { object: 'spend', id: 'x', time: NOON, key: 'k', route: 'r', model: 'm' }
    const sums = { requests: 1, attempts: 1, input_tokens: 1, output_tokens: 1, cost_usd: 6e-7 }
    const line = { ...entry, ...sums, budgeted: true }
    writeFileSync(join(folder, 'spend-2026-11-21-1-0000.jsonl'), `${JSON.stringify(line)}\n`)
  }
  const damages: [string, () => void][] = [
    ['all deleted', () => remove(files())],
    ['all emptied', () => files().map((name) => writeFileSync(join(folder, name), ''))],
    ['the newest deleted', () => rmSync(newest())],
    ['the newest emptied', () => writeFileSync(newest(), '')],
    ['the newest without its state', () => writeFileSync(newest(), '{"object":"settle"\n')],
    ['the newest cut in its first line', () => truncateSync(newest(), 40)],
    ['all but an older one deleted', () => remove(files().slice(1))],
  ]
  test.each(damages)('%s', (_, damage) => {
    spend()
    expect(spent(start())).toEqual([600])
    opened.splice(0).at(-1)!.close()
    damage()
    expect(() => start()).toThrow(/^the budgets in .* cannot be read: .*move all files out/)
    // it refused, and did not begin anew
    expect(() => start()).toThrow('cannot be read')
  })

  test('not an older one, nor spending from before there were budgets', () => {
    spend()
    rmSync(join(folder, files()[0]!))
    expect(spent(start())).toEqual([600])
    opened.splice(0).at(-1)!.close()
    for (const name of files()) rmSync(join(folder, name))
    const path = join(folder, 'spend-2026-11-21-1-0000.jsonl')
    writeFileSync(path, readFileSync(path, 'utf8').replace(',"budgeted":true', ''))
    expect(spent(start())).toEqual([0])
  })

  test('while the server runs, it is written again from memory', () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const store = start()
    store.reserve('a', claim(500, 'all'))
    store.commit('a', 300)
    for (const damage of [() => rmSync(newest()), () => truncateSync(newest(), 0)]) {
      damage()
      vi.advanceTimersByTime(1000)
      expect(warnings.at(-1)).toContain('was deleted or cut by something else')
      expect(readJournal(folder)).toMatchObject({ whole: true, torn: 0 })
      expect(readJournal(folder).state.balances.all!.spent).toBe(300)
    }
    // also where it is stopped at once
    rmSync(newest())
    store.close()
    vi.useRealTimers()
    expect(spent(start())).toEqual([300])
  })
})

test('old segments go, and what is left holds all', () => {
  const ledger = new BudgetLedger(
    () => NOON,
    () => {},
  )
  ledger.declare([budget({ per: 'total' })])
  const journal = new BudgetJournal({
    folder,
    segments: [],
    state: () => ledger.state(),
    now: () => NOON,
    onHealth: () => {},
    segmentBytes: 2000,
  })
  for (let i = 0; i < 200; i++) {
    const id = String(i)
    ledger.reserve(id, claim(10, 'all'))
    journal.now({ object: 'hold', id, ...ledger.held(id)! })
    if (i === 0) continue
    ledger.commit(id, 7)
    journal.soon({ object: 'settle', id, nanos: 7 })
  }
  journal.close()
  const { state, segments } = readJournal(folder)
  expect(segments.length).toBe(2)
  expect(segments[1]).toBeGreaterThan(5)
  expect(state.balances.all!.spent).toBe(199 * 7)
  expect(Object.values(state.open)).toMatchObject([{ nanos: 10 }])
})

test('on a disk that fails budgets hold in memory, and are written whole when it works again', () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  const ledger = new BudgetLedger(
    () => NOON,
    () => {},
  )
  ledger.declare([budget({ per: 'total' })])
  const health: string[] = []
  const gone = join(folder, 'gone')
  const journal = new BudgetJournal({
    folder: gone,
    segments: [],
    state: () => ledger.state(),
    now: () => NOON,
    onHealth: (failure) => health.push(failure ? 'fails' : 'works'),
    segmentBytes: 1,
  })
  rmSync(gone, { recursive: true })
  for (const id of ['a', 'b', 'c']) {
    ledger.reserve(id, claim(300, 'all'))
    journal.now({ object: 'hold', id, ...ledger.held(id)! })
  }
  vi.advanceTimersByTime(1000)
  expect(health).toEqual(['fails'])
  mkdirSync(gone)
  vi.advanceTimersByTime(1000)
  expect(health).toEqual(['fails', 'works'])
  vi.useRealTimers()
  journal.close()
  expect(Object.keys(readJournal(gone).state.open)).toEqual(['a', 'b', 'c'])
})

describe('the folder', () => {
  const server = () =>
    openLocalStore({
      folder,
      where: 'gateway.spend.folder',
      allowHosts: undefined,
      now: Date.now,
      onWarning: () => {},
    })

  test('belongs to one server, from its first budget until it closes', async () => {
    const [one, other] = [server(), server()]
    one.declare([budget({})])
    other.declare([])
    const held = `${folder}, held by process ${process.pid} of ${hostname()}`
    expect(() => other.declare([budget({})])).toThrow(
      `gateway.spend.folder: expected a folder that no other server keeps its budgets in, got ${held}`,
    )
    await one.close()
    other.declare([budget({})])
    await other.close()
    expect(readdirSync(folder)).not.toContain('lock')
  })

  test('that cannot be read is not held', async () => {
    mkdirSync(join(folder, 'budget-00000001.jsonl'))
    const one = server()
    expect(() => one.declare([budget({})])).toThrow('EISDIR')
    const lock = lockFolder(folder, Date.now)
    expect(lock).toHaveProperty('release')
    if ('release' in lock) lock.release()
    await one.close()
  })
})

for (const seed of [11, 12, 13, 14]) {
  test(`however often it crashes, what upstreams bill stays within the budget (seed ${seed})`, () => {
    const random = createRandom(seed)
    const below = (n: number) => random.int(n)
    const budgets = [
      budget({ name: 'all', usd: 0.0006, per: 'total' }),
      budget({ name: 'half', usd: 0.0002, per: 'total', action: 'downgrade' }),
    ]
    let store = start(budgets)
    let under: { id: string; cost: number }[] = []
    const billed = { all: 0, half: 0 }
    let crashes = 0
    for (let step = 0; step < 1500; step++) {
      const dice = random.next()
      if (dice < 0.01) {
        // kill -9: what was asked goes on at the upstream, and is billed
        under = []
        crashes++
        if (random.next() < 0.3) appendFileSync(newest(), '{"object":"commit","id":"')
        store = start(budgets)
      } else if (dice < 0.6 && under.length < 20) {
        const nanos = 1 + below(3000)
        const names = random.next() < 0.5 ? ['all'] : ['all', 'half']
        const id = `${crashes}-${step}`
        if (!store.reserve(id, claim(nanos, ...names))) {
          const cost = below(nanos + 1)
          under.push({ id, cost })
          billed.all += cost
          if (names.length > 1) billed.half += cost
        }
      } else if (under.length > 0) {
        const { id, cost } = under.splice(below(under.length), 1)[0]!
        store.commit(id, cost)
      }
      expect(billed.all).toBeLessThanOrEqual(600_000)
      expect(billed.half).toBeLessThanOrEqual(200_000)
    }
    for (const { id, cost } of under) store.commit(id, cost)
    expect(crashes).toBeGreaterThan(3)
    const [all, half] = spent(store)
    expect(all).toBeGreaterThanOrEqual(billed.all)
    expect(half).toBeGreaterThanOrEqual(billed.half)
    expect(all).toBeLessThanOrEqual(600_000)
    expect(readFileSync(newest(), 'utf8')).toContain('budget_state')
  })
}
