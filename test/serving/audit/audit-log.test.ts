import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { readDecisionLog } from '../../../records/log-reader.ts'
import { type AuditEvent, type AuditLog, openAuditLog } from '../../../serving/audit/audit-log.ts'

import { lineDiff } from '../../../serving/audit/policy-hooks.ts'
import { verifyAudit } from '../../../serving/audit/verify.ts'

let folder: string
let time: number
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-audit-'))
  time = Date.parse('2026-03-01T12:00:00Z')
})
afterEach(() => rm(folder, { recursive: true }))

const open = (process = 1): Promise<AuditLog> =>
  openAuditLog({
    place: folder,
    who: { user: 'ops', host: 'one', process },
    now: () => {
      time += 1000
      return new Date(time)
    },
  })
const loaded = (hash: string): AuditEvent => ({
  event: 'policy_loaded',
  name: 'main',
  path: 'policy.yaml',
  hash,
  why: 'SIGHUP',
})
async function written(count = 5): Promise<string[]> {
  const log = await open()
  for (let i = 0; i < count; i++) await log.record(loaded(`h${i}`))
  return (await readFile(log.path, 'utf8')).split('\n').slice(0, -1)
}
const put = (lines: readonly string[]): Promise<void> =>
  writeFile(join(folder, 'audit.jsonl'), `${lines.join('\n')}\n`)

describe('the audit log', () => {
  test('is one whole chain, over restarts', async () => {
    await written(3)
    await (await open(2)).record(loaded('h3'))
    const { records, faults, torn } = await verifyAudit(folder)
    expect(records.map(({ seq, hash }) => [seq, hash])).toEqual([
      [1, 'h0'],
      [2, 'h1'],
      [3, 'h2'],
      [4, 'h3'],
    ])
    expect([faults, torn]).toEqual([[], 0])
    expect(records[3]!.who).toEqual({ user: 'ops', host: 'one', process: 2 })
  })

  test('shows each changed, removed, inserted or swapped line, whichever it is', async () => {
    const lines = await written()
    for (let i = 0; i < lines.length - 1; i++) {
      const changed = [...lines]
      changed[i] = lines[i]!.replace('"user":"ops"', '"user":"eve"')
      const without = lines.filter((_, at) => at !== i)
      const twice = [...lines.slice(0, i + 1), ...lines.slice(i)]
      const swapped = [...lines]
      swapped[i] = lines[i + 1]!
      swapped[i + 1] = lines[i]!
      for (const bad of [changed, without, twice, swapped]) {
        await put(bad)
        expect((await verifyAudit(folder)).faults.length, `line ${i + 1}`).toBeGreaterThan(0)
      }
    }
    await put(lines)
    expect((await verifyAudit(folder)).faults).toEqual([])
  })

  test('has another head where lines at its end were changed or taken away', async () => {
    const lines = await written()
    const { head } = await verifyAudit(folder)
    await put(lines.slice(0, -1))
    const cut = await verifyAudit(folder)
    // the chain alone cannot show it: the head, kept elsewhere, does
    expect(cut.faults).toEqual([])
    expect(cut.head).not.toBe(head)
  })

  test('goes on behind a line that a crash cut off, and counts it', async () => {
    const lines = await written(2)
    await put(lines)
    await appendFile(join(folder, 'audit.jsonl'), lines[1]!.slice(0, 40))
    await (await open()).record(loaded('after'))
    const { records, faults, torn } = await verifyAudit(folder)
    expect([records.length, faults, torn]).toEqual([3, [], 1])
    expect(records[2]).toMatchObject({ seq: 4, hash: 'after' })
  })

  test('is told once by the workers of one server, and again when something else was between', async () => {
    const [one, two] = [await open(), await open()]
    await Promise.all([one.record(loaded('a')), two.record(loaded('a'))])
    expect((await verifyAudit(folder)).records).toHaveLength(1)
    await one.record(loaded('b'))
    await one.record(loaded('a'))
    await (await open(2)).record(loaded('a'))
    const hashes = (await verifyAudit(folder)).records.map(({ hash, who }) => [hash, who.process])
    expect(hashes).toEqual([
      ['a', 1],
      ['b', 1],
      ['a', 1],
      ['a', 2],
    ])
  })

  test('stays a chain when many write at once', async () => {
    const logs = await Promise.all([1, 2, 3, 4].map((process) => open(process)))
    await Promise.all(
      logs.flatMap((log, i) => [0, 1, 2, 3, 4].map((n) => log.record(loaded(`${i}-${n}`)))),
    )
    const { records, faults } = await verifyAudit(folder)
    expect([records.length, faults]).toEqual([20, []])
  })

  test('is no segment of the decision log beside it', async () => {
    await written()
    const stats = { torn: 0, invalid: 0 }
    for await (const line of readDecisionLog(folder, stats)) expect.unreachable(line.path)
    expect(stats).toEqual({ torn: 0, invalid: 0 })
  })
})

describe('the diff of two texts', () => {
  test('turns the one into the other', () => {
    const random = createRandom(3)
    const text = (): string[] =>
      Array.from({ length: random.int(30) }, () => 'abcd'[random.int(4)]!)
    for (let i = 0; i < 300; i++) {
      const [before, after] = [text(), text()]
      const parts = lineDiff(before.join('\n'), after.join('\n')).split('\n').filter(Boolean)
      const taken = new Map<number, string>()
      const put = new Map<number, string>()
      for (const part of parts) {
        const [, sign, line, text = ''] = /^([-+])(\d+) (.*)$/.exec(part)!
        const into = sign === '-' ? taken : put
        into.set(Number(line), text)
      }
      const [a, b] = [before.join('\n').split('\n'), after.join('\n').split('\n')]
      for (const [line, its] of taken) expect(a[line - 1]).toBe(its)
      const rest = a.filter((_, at) => !taken.has(at + 1))
      const made = b.map((_, at) => put.get(at + 1) ?? rest.shift())
      expect(made).toEqual(b)
      expect(rest).toEqual([])
    }
  })

  test('is small for a small change of a large text', () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i}`)
    const changed = lines.with(10_000, 'another')
    expect(lineDiff(lines.join('\n'), changed.join('\n'))).toBe('-10001 line 10000\n+10001 another')
  })
})
