import {
  appendFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type DecisionRecord, decisionLine, type LogRecord } from '../../records/decision-record.ts'
import { readAnswered } from '../../records/feedback/answered.ts'
import { readDecisionLog, segmentFiles } from '../../records/log-reader.ts'

import { type LogWriterOptions, openLogWriter } from '../../records/log-writer.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-log-'))
})
afterEach(() => rm(folder, { recursive: true }))

const header = { text: 'none', embedding: false } as const
const openWriter = (options: Partial<LogWriterOptions> = {}) =>
  openLogWriter({ folder, header, ...options })
const record = (id: string): DecisionRecord => ({
  object: 'decision',
  id,
  time: 1_700_000_000_123,
  router: 'r "quoted"',
  version: '0123456789abcdef',
  model: 'model\nwith/odd\u2028name',
  win_rate: 0.1 + 0.2,
  threshold: 1e-7,
  reason: 'win_rate_reached',
  propensity: 1,
  prompt_hash: 'ab'.repeat(32),
})
async function readAll(stats = { torn: 0, invalid: 0 }): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  for await (const line of readDecisionLog(folder, stats)) records.push(line.record)
  return records
}

test('what a later request says of an answer is read', async () => {
  const signal = {
    ...{
      object: 'signal',
      decision_id: 'x',
      time: 1,
      model: 'm',
      signs: ['tool_errors'],
      key: 'k',
    },
  } as const
  const writer = await openWriter()
  writer.append(JSON.stringify(signal))
  await writer.close()
  const stats = { torn: 0, invalid: 0 }
  expect((await readAll(stats)).at(-1)).toEqual(signal)
  expect(stats.invalid).toBe(0)
})

test('a line by hand is the line JSON would write', () => {
  const full = {
    ...record('x'),
    propensities: { a: 0.5 },
    shadow: true as const,
    fallback_reason: 'deadline',
    session_id: '\u0000"',
    text: 'lone \ud800 and "quotes"\n',
    embedding: 'AAAA',
  }
  expect(JSON.parse(decisionLine(full))).toEqual(JSON.parse(JSON.stringify(full)))
  expect(decisionLine({ ...record('x'), win_rate: null })).toContain('"win_rate":null')
  expect(decisionLine(full)).not.toContain('\n')
})

describe('the writer', () => {
  test('writes what it is given, in order, over segments that each say what they hold', async () => {
    const log = await openWriter({ segmentBytes: 2000 })
    for (let i = 0; i < 100; i++) {
      log.append(decisionLine(record(String(i))))
      if (i % 10 === 9) await log.flushed()
    }
    await log.close()
    const files = await segmentFiles(folder)
    expect(files.length).toBeGreaterThan(5)
    for (const file of files) expect(await readFile(file, 'utf8')).toMatch(/^\{"object":"log"/)
    const records = (await readAll()).filter((r) => r.object === 'decision')
    expect(records.map((r) => r.id)).toEqual(Array.from({ length: 100 }, (_, i) => String(i)))
    expect(records[0]).toEqual(record('0'))
  })

  test('has it on disk when it says so', async () => {
    const log = await openWriter()
    log.append(decisionLine(record('now')))
    await log.flushed()
    expect((await readAll()).at(-1)).toMatchObject({ id: 'now' })
    await log.close()
  })

  test('makes writers wait while the disk is slow, and loses nothing', async () => {
    let release: (() => void) | undefined
    // the first segment's header is written while the log is opened
    let slow = false
    const log = await openWriter({
      bufferLimit: 1000,
      openFile: async (path) => {
        const file = await open(path, 'ax')
        return {
          write: (async (buffer: Buffer) => {
            if (slow) {
              await new Promise<void>((resolve) => {
                release = resolve
              })
            }
            return file.write(buffer)
          }) as never,
          datasync: () => file.datasync(),
          close: () => file.close(),
        }
      },
    })
    slow = true
    expect(log.room()).toBeUndefined()
    for (let i = 0; i < 10; i++) log.append(decisionLine(record(String(i))))
    let freed = false
    const room = log.room()!.then(() => {
      freed = true
    })
    const flushed = log.flushed()
    await expect.poll(() => release).toBeDefined()
    expect(freed).toBe(false)
    slow = false
    release!()
    await room
    await flushed
    expect(log.dropped).toBe(0)
    expect((await readAll()).filter((r) => r.object === 'decision')).toHaveLength(10)
    await log.close()
  })

  test('on a full disk says so, keeps what fits in memory, counts the rest, and catches up', async () => {
    let full = false
    const health: (string | undefined)[] = []
    const log = await openWriter({
      bufferLimit: 3000,
      onHealth: (failure) => health.push(failure?.message),
      openFile: async (path) => {
        const file = await open(path, 'ax')
        return {
          // takes half a line before it is full: the rest must follow it, not a new line
          write: (async (buffer: Buffer) => {
            if (full && buffer.length > 50) return file.write(buffer, 0, 50)
            if (full) throw new Error('ENOSPC: no space left on device')
            return file.write(buffer)
          }) as never,
          datasync: () => file.datasync(),
          close: () => file.close(),
        }
      },
    })
    log.append(decisionLine(record('before')))
    await log.flushed()
    full = true
    log.append(decisionLine(record('kept')))
    await expect(log.flushed()).rejects.toMatchObject({ code: 'log_unavailable' })
    expect(log.failing).toBe(true)
    for (let i = 0; i < 30; i++) log.append(decisionLine(record(`more ${i}`)))
    expect(log.dropped).toBeGreaterThan(0)
    expect(log.room()).toBeUndefined()
    full = false
    await expect.poll(() => log.failing, { timeout: 5000 }).toBe(false)
    await log.flushed()
    const stats = { torn: 0, invalid: 0 }
    const kept = (await readAll(stats)).filter((r) => r.object === 'decision').map((r) => r.id)
    expect(kept.slice(0, 3)).toEqual(['before', 'kept', 'more 0'])
    expect(kept).toHaveLength(32 - log.dropped)
    expect(stats).toEqual({ torn: 0, invalid: 0 })
    expect(health).toEqual([expect.stringContaining('ENOSPC'), undefined])
    await log.close()
  })
})

describe('the reader', () => {
  test('leaves out a cut-off last line and counts it', async () => {
    const log = await openWriter()
    for (const id of ['a', 'b']) log.append(decisionLine(record(id)))
    await log.close()
    const [name] = await readdir(folder)
    await appendFile(join(folder, name!), decisionLine(record('c')).slice(0, 60))
    const stats = { torn: 0, invalid: 0 }
    expect((await readAll(stats)).map((r) => r.object)).toEqual(['log', 'decision', 'decision'])
    expect(stats.torn).toBe(1)
  })

  test('says where the first line is that is no record', async () => {
    const log = await openWriter()
    log.append('{"object":"decision","id":5}')
    log.append('not JSON')
    log.append(decisionLine(record('good')))
    await log.close()
    const stats: { torn: number; invalid: number; firstInvalid?: string } = { torn: 0, invalid: 0 }
    expect((await readAll(stats)).map((r) => r.object)).toEqual(['log', 'decision'])
    expect(stats).toMatchObject({ torn: 0, invalid: 2, firstInvalid: expect.stringMatching(/:2$/) })
  })

  test('reads what a log shipper made of several servers’ logs, packed and by date, and joins it', async () => {
    const day = join(folder, 'date=2026-11-30')
    const next = join(folder, 'date=2026-12-01')
    await mkdir(day)
    await mkdir(next)
    const line = (value: object): string => `${JSON.stringify(value)}\n`
    const begins = line({ object: 'log', format: 1, created: '2026-11-30', ...header })
    const rating = { object: 'feedback', decision_id: 'd1', time: 1_700_000_000_200, score: 0.75 }
    // the feedback reached another server than the decision, and was shipped first; the shipper sent some lines twice
    await writeFile(join(day, 'a.jsonl.gz'), gzipSync(begins + line(rating) + line(rating)))
    const own = decisionLine(record('d1'))
    await writeFile(join(next, 'b.jsonl'), `${own}\n${begins}${own}\n`)
    // an upload that was cut off
    const whole = gzipSync(
      Array.from({ length: 5000 }, (_, i) => `${decisionLine(record(`x${i}`))}\n`).join(''),
    )
    await writeFile(join(next, 'c.jsonl.gz'), whole.subarray(0, whole.length >> 1))
    await writeFile(join(folder, 'notes.txt'), 'x')
    const stats = { torn: 0, invalid: 0 }
    const records = await readAll(stats)
    expect(records.filter(({ object }) => object === 'feedback')).toEqual([rating, rating])
    const { answered, counts } = await readAnswered(folder)
    expect(answered).toMatchObject([{ decision: { id: 'd1' }, score: 0.75 }])
    expect(counts).toMatchObject({ orphaned: 0, invalid: 0, torn: 1 })
    expect(counts.decisions).toBeGreaterThan(1000)
    expect(counts.decisions).toBeLessThan(5001)
  })

  test('says so when there is no log', async () => {
    await expect(segmentFiles(join(folder, 'none'))).rejects.toMatchObject({
      code: 'file_not_found',
    })
  })
})
