import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { spooledStore, WAITING_FOLDER, waitingFiles } from '../../records/feedback/spooled-store.ts'
import type { FeedbackStore } from '../../records/feedback/store.ts'
import { type Forgotten, forget } from '../../records/forget.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-forget-'))
})
afterEach(() => rm(folder, { recursive: true }))

const who = (given: Partial<Forgotten>): Forgotten => ({
  sessions: new Set(),
  keys: new Set(),
  ids: new Set(),
  metadata: new Map(),
  ...given,
})

const HEADER = { object: 'log', format: 1, created: '2026-01-01', text: 'full', embedding: false }
/** A request of a user: a gateway line, its decision and feedback on it. */
const request = (user: string, n: number, time = 1000) => [
  {
    object: 'decision',
    id: `d-${user}-${n}`,
    time,
    text: `a secret of ${user}`,
    session_id: `s-${user}`,
  },
  {
    object: 'gateway',
    id: `g-${user}-${n}`,
    decision_id: `d-${user}-${n}`,
    time,
    key: `key-${user}`,
    metadata: { user },
  },
  { object: 'feedback', decision_id: `g-${user}-${n}`, time: time + 1, score: 1, source: 'user' },
]
// no process has this number
const segment = (n: number): string => join(folder, `20260101T000000000-99999999-000${n}.jsonl`)
const write = (path: string, lines: readonly unknown[], tail = ''): Promise<void> =>
  writeFile(
    path,
    `${[HEADER, ...lines].map((line) => `${JSON.stringify(line)}\n`).join('')}${tail}`,
  )

test('feedback that waits for its store goes too, or was refused, though the server runs', async () => {
  await write(segment(1), [...request('ann', 1), ...request('bob', 1)])
  const store = { record: () => Promise.reject(new Error('gone')), close: async () => {} }
  const options = { deadlineMs: 1000, retryMs: 60_000, onWarning: () => {} }
  const spooled = await spooledStore(store as unknown as FeedbackStore, {
    ...{ folder: join(folder, WAITING_FOLDER), ...options },
  })
  const rating = { object: 'feedback', time: 1, score: 0 } as const
  for (const id of ['g-ann-1', 'g-bob-1', 'd-ann-1']) {
    await spooled.record({ ...rating, decision_id: id })
  }
  const [, , last] = await waitingFiles(folder)
  await rename(last!, `${last}.refused`)
  const ann = who({ metadata: new Map([['user', 'ann']]) })
  expect((await forget([folder], ann, { dryRun: true })).deleted.feedback).toBe(3)
  expect((await forget([folder], ann)).in_use).toEqual([])
  await spooled.close()
  const left = await waitingFiles(folder)
  expect(left).toHaveLength(1)
  expect(await readFile(left[0]!, 'utf8')).toContain('g-bob-1')
})

test('a judge’s key takes its ratings with it, not the decisions that it rated', async () => {
  const [bob, cy] = [request('bob', 1), request('cy', 1)]
  const judged = { object: 'feedback', decision_id: 'd-bob-1', time: 2, score: 0, key: 'judge' }
  // a decision without the gateway belongs to the key that could rate it
  const own = { object: 'feedback', decision_id: 'd-cy-2', time: 2, score: 0, key: 'key-cy' }
  const [alone] = request('cy', 2)
  await write(segment(1), [...bob, ...cy, { ...judged, role: 'any' }, alone, own])
  const judge = await forget([folder], who({ keys: new Set(['judge']) }))
  expect(judge.deleted).toEqual({ feedback: 1 })
  const report = await forget([folder], who({ keys: new Set(['key-cy']) }))
  expect(report.deleted).toEqual({ decision: 2, gateway: 1, feedback: 2 })
})

test.each([
  ['a session', { sessions: new Set(['s-alice']) }],
  ['a key', { keys: new Set(['key-alice']) }],
  ['metadata', { metadata: new Map([['user', 'alice']]) }],
  ['ids of requests', { ids: new Set(['g-alice-1', 'd-alice-2']) }],
])('forgets what belongs to %s in every segment, and nothing else', async (_, given) => {
  const [a1, a2] = [request('alice', 1), request('alice', 2)]
  const [b1, b2] = [request('bob', 1), request('bob', 2)]
  // feedback may come long after, in a later segment
  await write(segment(1), [a1[0], b1[0], a1[1], b1[1]])
  await write(segment(2), [...a2, ...b2, a1[2], b1[2]])
  const kept = await readFile(segment(2))
  const { mtimeMs } = await stat(segment(2))
  const dry = await forget([folder], who(given), { dryRun: true })
  expect(await readFile(segment(2))).toEqual(kept)
  const report = await forget([folder], who(given))
  expect(report).toEqual(dry)
  expect(report.deleted).toEqual({ decision: 2, gateway: 2, feedback: 2 })
  const left = await readFile(segment(1), 'utf8')
  const later = await readFile(segment(2), 'utf8')
  expect(left + later).not.toContain('alice')
  const lines = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')
  expect(left).toBe(lines([HEADER, b1[0], b1[1]]))
  expect(later).toBe(lines([HEADER, ...b2, b1[2]]))
  expect((await stat(segment(2))).mtimeMs).toBeCloseTo(mtimeMs, -1)
  expect((await forget([folder], who(given))).deleted).toEqual({})
})

test('a line that a crash cut off goes if it holds the value, and stays if it does not', async () => {
  await write(segment(1), request('bob', 1), '{"object":"decision","session_id":"s-alice","te')
  await write(segment(2), request('bob', 2), '{"object":"decision","session_id":"s-bob","te')
  const { deleted } = await forget([folder], who({ sessions: new Set(['s-alice']) }))
  expect(deleted).toEqual({ torn: 1 })
  expect(await readFile(segment(2), 'utf8')).toMatch(/"te$/)
})

test('retention deletes what is older, and a segment of which nothing is left', async () => {
  await write(segment(1), request('alice', 1, 1000))
  await write(segment(2), [...request('alice', 2, 1000), ...request('bob', 1, 9000)])
  const { deleted, files } = await forget([folder], who({ before: 5000 }))
  expect(deleted).toEqual({ decision: 2, gateway: 2, feedback: 2 })
  expect(files).toHaveLength(2)
  expect(await readdir(folder)).toHaveLength(1)
  expect(await readFile(segment(2), 'utf8')).not.toContain('alice')
})

test('a segment that a running process writes is left and named', async () => {
  const own = join(folder, `20260101T000000000-${process.pid}-0001.jsonl`)
  await write(own, request('alice', 1))
  const report = await forget([folder], who({ keys: new Set(['key-alice']) }))
  expect(report).toMatchObject({ in_use: [own], deleted: {}, files: [] })
  expect(await readFile(own, 'utf8')).toContain('alice')
})

test('packed logs are rewritten packed, by date', async () => {
  const day = join(folder, 'date=2026-11-30')
  await mkdir(day)
  const path = join(day, 'a.jsonl.gz')
  const lines = [HEADER, ...request('bob', 1), ...request('cy', 1)]
  await writeFile(path, gzipSync(lines.map((line) => `${JSON.stringify(line)}\n`).join('')))
  const report = await forget([folder], who({ sessions: new Set(['s-bob']) }))
  expect(report.files).toEqual([path])
  const left = gunzipSync(await readFile(path)).toString()
  expect(left).not.toContain('bob')
  expect(left.split('\n')).toHaveLength(1 + 3 + 1)
})
