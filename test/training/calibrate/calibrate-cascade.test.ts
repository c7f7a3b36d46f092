import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { GatewayRecord } from '../../../records/decision-record.ts'
import { calibrateCascade } from '../../../training/calibrate/calibrate-cascade.ts'
import { type CascadeRow, readCascadeLog } from '../../../training/calibrate/cascade-log.ts'

/**
 * A world that is known: a check's score s is uniform, the weak answer is right with probability s, the strong
 * one with probability .9. Escalating below c: mean loss L(c) = integral over [c, 1] of .9 - s, and
 * PGR(c) = (.9 c - c^2 / 2) / .4.
 */
const STRONG = 0.9
const loss = (c: number): number => STRONG * (1 - c) - (1 - c * c) / 2
const world = (n: number, seed: number): CascadeRow[] => {
  const random = createRandom(seed)
  return Array.from({ length: n }, () => {
    const score = random.next()
    return {
      score,
      weak: random.next() < score ? 1 : 0,
      strong: random.next() < STRONG ? 1 : 0,
      weak_usd: 0.001,
      strong_usd: 0.01,
    }
  })
}

describe('a world that is known', () => {
  test('a share is escalated by its quantile', () => {
    const target = { kind: 'strong-share', share: 0.3 } as const
    const rows = world(5000, 1)
    const { threshold, expected } = calibrateCascade(rows, { target, seed: 1 })
    expect(threshold).toBeCloseTo(0.3, 1)
    const escalated = rows.filter(({ score }) => score < threshold!).length / rows.length
    expect(escalated).toBeCloseTo(expected.share.value, 12)
    expect(escalated).toBeCloseTo(0.3, 3)
  })

  test('a quality is kept by the score that the formula gives', () => {
    const target = { kind: 'quality', pgr: 0.9 } as const
    const { threshold } = calibrateCascade(world(20_000, 2), { target, seed: 1 })
    // .9 c - c^2 / 2 = .36
    expect(Math.abs(threshold! - (0.9 - Math.sqrt(0.81 - 0.72)))).toBeLessThan(0.03)
  })

  test('what is escalated is paid twice', () => {
    const target = { kind: 'strong-share', share: 0.5 } as const
    const { expected } = calibrateCascade(world(2000, 3), { target, seed: 1 })
    expect(expected.dollars!.value).toBeCloseTo(1000 * (0.001 + 0.5 * 0.01), 6)
  })

  test('a promised loss is broken in no more calibrations than was said', () => {
    const target = { kind: 'max-loss', loss: 0.05, confidence: 0.9 } as const
    const worlds = 100
    let broken = 0
    let sum = 0
    for (let seed = 0; seed < worlds; seed++) {
      const { threshold } = calibrateCascade(world(500, 100 + seed), { target, seed })
      if (loss(threshold ?? 1) > 0.05) broken++
      sum += threshold ?? 1
    }
    // 10 expected at most; 17 or more come once in 50 times where it is 10
    expect(broken).toBeLessThan(17)
    // and the promise is not kept by escalating everything: L(.568) = .05
    expect(sum / worlds).toBeLessThan(0.8)
  })
})

test('scores that a threshold cannot tell apart stay together, and all or none is said', () => {
  const rows = Array.from({ length: 100 }, (_, i) => ({
    score: i < 40 ? 0.4 : 0.8,
    weak: 1,
    strong: 1,
  }))
  const shareOf = (share: number) =>
    calibrateCascade(rows, { target: { kind: 'strong-share', share }, seed: 1 }).threshold
  expect(shareOf(0.4)).toBeGreaterThan(0.4)
  expect(shareOf(0.4)).toBeLessThanOrEqual(0.8)
  expect(shareOf(1)).toBeUndefined()
  expect(shareOf(0)).toBeLessThanOrEqual(0.4)
})

describe('logs', () => {
  let root: string
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'weir-cascade-'))
  })
  afterAll(() => rm(root, { recursive: true }))
  const file = async (name: string, lines: readonly unknown[]): Promise<string> => {
    const path = join(root, name)
    await writeFile(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    return path
  }

  test('rows of one’s own, a bad one named by its line', async () => {
    const good = { score: 0.5, weak: 1, strong: 0, id: 'x' }
    expect((await readCascadeLog(await file('rows.jsonl', [good, good]))).rows).toHaveLength(2)
    const path = await file('bad.jsonl', [good, { score: 1.5 }])
    await expect(readCascadeLog(path)).rejects.toThrow(`${path}:2: score: expected <= 1, got 1.5`)
    await expect(readCascadeLog(join(root, 'none.jsonl'))).rejects.toThrow('found none')
  })

  const header = { object: 'log', format: 1, created: 'x', text: 'none', embedding: false }
  const record = (id: string, score: number | null, more: Partial<GatewayRecord> = {}) => ({
    object: 'gateway',
    id,
    time: 1,
    endpoint: 'chat',
    key: 'k',
    asked: 'weir',
    step: 'rule',
    reason: 'matched',
    strategy: 'cascade',
    targets: ['small', 'big'],
    model: score !== null && score >= 0.5 ? 'small' : 'big',
    propensity: 1,
    attempts: [],
    ms: 1,
    status: 200,
    checks: [
      { check: 'length', model: 'small', score: 1, passed: true },
      { check: 'sure', model: 'small', score, threshold: 0.5, passed: (score ?? 0) >= 0.5 },
    ],
    ...more,
  })
  const said = (decision_id: string, score: number, model?: string) => ({
    object: 'feedback',
    decision_id,
    score,
    time: 2,
    ...(model === undefined ? {} : { model }),
  })

  test('what weir serve --log wrote: scores, and outcomes by whoever answered', async () => {
    const path = await file('log.jsonl', [
      header,
      record('a', 0.9),
      record('b', 0.2, { decision_id: 'd' }),
      record('c', null),
      record('e', 0.3, { checks: [] }),
      said('a', 1),
      said('a', 0.5, 'big'),
      said('d', 0.8),
      said('d', 0, 'small'),
    ])
    expect(await readCascadeLog(path)).toEqual({
      check: 'sure',
      unscored: 1,
      rows: [
        { score: 0.9, passed: true, weak: 1, strong: 0.5 },
        { score: 0.2, passed: false, weak: 0, strong: 0.8 },
      ],
    })
    await expect(readCascadeLog(path, { check: 'length' })).rejects.toThrow(
      'expected one of sure for --check, got length',
    )
  })

  test('outcomes known oftener of low scores do not bend the threshold', () => {
    const passes = ({ score }: CascadeRow): boolean => score >= 0.5
    const rows = world(20_000, 5).map((row) => ({ ...row, passed: passes(row) }))
    // all that failed are labelled, a tenth of what passed
    const seen = rows.map((row, i): CascadeRow => {
      const { score, passed } = row
      return passed && i % 10 !== 0 ? { score, passed } : row
    })
    const target = { kind: 'quality', pgr: 0.9 } as const
    const { threshold, unlabelled, certificate } = calibrateCascade(seen, { target, seed: 1 })
    expect(Math.abs(threshold! - 0.6)).toBeLessThan(0.06)
    expect(unlabelled).toBeGreaterThan(8000)
    expect(certificate.effective_n).toBeLessThan(certificate.n)
    // the same rows without their side in the log are bent: the low scores outnumber the high ones
    const bent = seen.map(({ passed: _, ...row }) => row)
    expect(Math.abs(calibrateCascade(bent, { target, seed: 1 }).threshold! - 0.6)).toBeGreaterThan(
      0.06,
    )
  })

  test('no outcome of both models for what passed: the target is refused, and why', () => {
    const rows = world(200, 6).map(({ weak, strong, ...row }) =>
      row.score >= 0.5
        ? { ...row, passed: true, weak: weak! }
        : { ...row, passed: false, weak: weak!, strong: strong! },
    )
    expect(() =>
      calibrateCascade(rows, { target: { kind: 'quality', pgr: 0.9 }, seed: 1 }),
    ).toThrow(/answer passed its check: none of \d+ has it/)
    const shares = { kind: 'strong-share', share: 0.3 } as const
    expect(calibrateCascade(rows, { target: shares, seed: 1 }).used).toBe(200)
  })
})
