import { describe, expect, test } from 'vitest'
import { createRandom, type Random } from '../../../../core/random.ts'
import { binOf, CategoryAlarm } from '../../../../serving/alarms/category-alarm.ts'
import { embeddingCells } from '../../../../serving/alarms/embedding-cells.ts'
import { MeanAlarm } from '../../../../serving/alarms/mean-alarm.ts'

const RUN_LENGTH = 2000

/** Alarms over so many values. */
function alarms(
  alarm: { add(value: number): boolean },
  values: number,
  next: () => number,
): number {
  let count = 0
  for (let i = 0; i < values; i++) if (alarm.add(next())) count++
  return count
}

function delay(alarm: { add(value: number): boolean }, next: () => number): number {
  let steps = 1
  while (!alarm.add(next()) && steps < 100_000) steps++
  return steps
}

const coin = (random: Random, p: number) => () => (random.next() < p ? 1 : 0)

describe('MeanAlarm', () => {
  const options = { reference: 0.7, shift: 0.05, direction: 'fall', runLength: RUN_LENGTH } as const

  test('goes off falsely at most once in its run length, also on graded values and at the edge', () => {
    const random = createRandom(5)
    const values = 400_000
    const allowed = (1.15 * values) / RUN_LENGTH
    expect(alarms(new MeanAlarm(options), values, coin(random, 0.7))).toBeLessThan(allowed)
    const graded = () => Math.min(1, Math.max(0, 0.7 + 0.1 * random.normal()))
    expect(alarms(new MeanAlarm(options), values, graded)).toBeLessThan(allowed)
    const share = { ...options, reference: 0.3, direction: 'rise' } as const
    expect(alarms(new MeanAlarm(share), values, coin(random, 0.3))).toBeLessThan(allowed)
  })

  test('notices the shift it was made for, a larger one sooner, and none of an improvement', () => {
    const random = createRandom(6)
    const mean = (p: number): number => {
      let sum = 0
      for (let run = 0; run < 60; run++) sum += delay(new MeanAlarm(options), coin(random, p))
      return sum / 60
    }
    const small = mean(0.65)
    expect(small).toBeLessThan(420)
    expect(mean(0.6)).toBeLessThan(0.6 * small)
    expect(alarms(new MeanAlarm(options), 50_000, coin(random, 0.75))).toBe(0)
  })

  test('a measured reference is believed less, and its evidence survives a restart', () => {
    expect(new MeanAlarm({ ...options, referenceRows: 500 }).floor).toBeLessThan(0.7)
    const first = new MeanAlarm(options)
    for (let i = 0; i < 10; i++) first.add(0)
    const second = new MeanAlarm(options)
    second.resume(first.state)
    expect(second.level).toBe(first.level)
    expect(second.level).toBeGreaterThan(0)
  })
})

describe('CategoryAlarm', () => {
  const reference = [0.1, 0.2, 0.3, 0.4]
  const draw = (random: Random, shares: readonly number[]) => () => {
    let at = random.next()
    let k = 0
    while (k < shares.length - 1 && at >= shares[k]!) at -= shares[k++]!
    return k
  }

  test('goes off falsely at most once in its run length', () => {
    const random = createRandom(7)
    const alarm = new CategoryAlarm({ reference, runLength: RUN_LENGTH })
    const values = 300_000
    expect(alarms(alarm, values, draw(random, reference))).toBeLessThan((1.2 * values) / RUN_LENGTH)
  })

  test('a reference that was counted on few rows does not set it off more often', () => {
    let count = 0
    for (let run = 0; run < 20; run++) {
      const random = createRandom(100 + run)
      const counts = new Float64Array(4)
      const next = draw(random, reference)
      for (let i = 0; i < 1000; i++) counts[next()]! += 1 / 1000
      const alarm = new CategoryAlarm({
        reference: counts,
        referenceRows: 1000,
        runLength: RUN_LENGTH,
      })
      count += alarms(alarm, 10_000, next)
    }
    expect(count).toBeLessThan((1.5 * 200_000) / RUN_LENGTH)
  })

  test('notices other shares, whichever they are', () => {
    const random = createRandom(8)
    for (const shares of [
      [0.3, 0.2, 0.2, 0.3],
      [0.1, 0.2, 0.5, 0.2],
    ]) {
      const alarm = new CategoryAlarm({ reference, runLength: RUN_LENGTH })
      expect(delay(alarm, draw(random, shares))).toBeLessThan(700)
    }
  })

  test('binOf puts a value on a cut above it', () => {
    expect([0, 0.1, 0.15, 0.2, 0.9].map((value) => binOf(value, [0.1, 0.2]))).toEqual([
      0, 1, 1, 2, 2,
    ])
  })
})

test('embeddingCells finds the groups of a sample and puts new rows in them', () => {
  const random = createRandom(9)
  const centres = [
    [0, 0],
    [10, 0],
    [0, 10],
  ]
  const values = new Float32Array(600)
  for (let i = 0; i < 300; i++) {
    const [x, y] = centres[i % 3]!
    values.set([x! + random.normal(), y! + random.normal()], 2 * i)
  }
  const cells = embeddingCells(values, 2, 3, 1)
  const found = centres.map(([x, y]) => cells.cellOf(Float32Array.of(x!, y!)))
  expect(new Set(found).size).toBe(3)
  expect(cells.cellOf(Float32Array.of(9, 1))).toBe(found[1])
})
