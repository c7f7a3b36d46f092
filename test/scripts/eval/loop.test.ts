import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { OutOfFold } from '../../../scripts/eval/encoders/fit.ts'
import { optimalCusum, simulateAlarm } from '../../../scripts/eval/loop/alarm.ts'
import { simulateMonth } from '../../../scripts/eval/loop/month.ts'
import { simulateOpe } from '../../../scripts/eval/loop/ope.ts'
import { simulatePacing } from '../../../scripts/eval/loop/pacing.ts'
import type { LoopTable } from '../../../scripts/eval/loop/routers.ts'

/** A world whose success rates are known, seen by a poor router and a better one. */
function world(n: number): LoopTable {
  const random = createRandom(21)
  const strong = new Float64Array(n)
  const weak = new Float64Array(n)
  const routers: [OutOfFold, OutOfFold] = [empty(n), empty(n)]
  for (let i = 0; i < n; i++) {
    const hard = random.next()
    const rates = [0.9 - 0.2 * hard, 0.9 - 0.55 * hard ** 2] as const
    strong[i] = random.next() < rates[0] ? 1 : 0
    weak[i] = random.next() < rates[1] ? 1 : 0
    routers.forEach(({ winRate, quality }, r) => {
      const noise = (r === 0 ? 0.15 : 0.05) * random.normal()
      const seen = Math.min(1, Math.max(0, hard + noise))
      quality.set([0.9 - 0.2 * seen, 0.9 - 0.55 * seen ** 2], 2 * i)
      winRate[i] = (1 + quality[2 * i]! - quality[2 * i + 1]!) / 2
    })
  }
  const prompts = Array.from({ length: n }, (_, i) => `p${i}`)
  return { source: 'known', prompts, strong, weak, serving: routers[0], candidate: routers[1] }
}

const empty = (n: number) => ({ winRate: new Float64Array(n), quality: new Float64Array(2 * n) })

describe('the learning loop, reduced', () => {
  const table = world(6000)

  test('off-policy estimates are near the truth, inside their intervals, and pick a good threshold', () => {
    const ope = simulateOpe(table, { seed: 1, runs: 12, rows: 3000, epsilon: 0.05 })
    expect(ope.rmse.robust).toBeLessThan(0.015)
    expect(ope.rmse.robust).toBeLessThan(0.6 * ope.rmse.snips)
    expect(ope.coverage).toBeGreaterThan(0.85)
    expect(ope.picked).toBeGreaterThan(0.8)
  })

  test('the alarm is nearly as quick as the optimal one that is told both rates', () => {
    const alarm = simulateAlarm(0.68, { seed: 1, runs: 60, referenceRows: 5000 })
    expect(alarm.optimalRunLength).toBeCloseTo(10_000, -2)
    expect(alarm.optimalDelay / alarm.delay).toBeGreaterThan(1 / 1.4)
    expect(alarm.delayOfTen).toBeLessThan(270)
    expect(alarm.falsePer10k).toBeLessThan(1.2)
  })

  test('the optimal CUSUM has the run length of its simulation', () => {
    const { limit, step, runLength } = optimalCusum(0.5, 0.4, 500)
    expect(runLength(0.5)).toBeCloseTo(500, 0)
    const random = createRandom(5)
    let steps = 0
    for (let run = 0; run < 2000; run++) {
      let level = 0
      while (level < limit) {
        level = Math.max(0, level + step[random.next() < 0.5 ? 1 : 0])
        steps++
      }
    }
    expect(Math.abs(steps / 2000 - 500)).toBeLessThan(40)
  })

  test('pacing keeps to its budget and beats a coin of the same spending', () => {
    const { overshoot, rows } = simulatePacing(table, 1)
    expect(overshoot).toBeLessThan(0.005)
    for (const { quality, random } of rows) expect(quality).toBeGreaterThan(random)
  })

  test('over a month nothing worse is promoted', () => {
    const months = [1, 2].map((seed) => simulateMonth(table, seed))
    for (const { worse, net } of months) {
      expect(worse).toBe(0)
      expect(net.loop).toBeGreaterThanOrEqual(net.frozen - 0.002)
      expect(net.loop).toBeLessThanOrEqual(net.oracle + 0.005)
    }
  })
})
