import { describe, expect, test } from 'vitest'
import { createRandom, type Random } from '../../../core/random.ts'
import { betaCdf, studentQuantile } from '../../../core/stats/beta.ts'
import { sampleMeanInterval } from '../../../core/stats/intervals.ts'
import { expectedAt } from '../../../training/calibrate/expected.ts'
import { takeCalibrationRows } from '../../../training/calibrate/rows.ts'
import { measureRouters } from '../../../training/evaluate/bootstrap/measure-routers.ts'
import { operatingPoint } from '../../../training/evaluate/metrics/operating-point.ts'
import { errorFloor } from '../../../training/ope/error-floor.ts'
import { effectiveAnswers, type SingleRows } from '../../../training/ope/sensitivity.ts'

interface World {
  /** probability that the weak model is right on hard prompts, of which it answers few */
  readonly hard: number
  /** probability that it is asked about them */
  readonly asked: number
  readonly rows: number
}

/** The truth, predictions that are right, and estimates from the answers of one draw. */
function draw({ hard, asked, rows: n }: World, random: Random) {
  const rows: SingleRows = {
    asked: new Uint8Array(n),
    score: new Float64Array(n),
    observed: new Float64Array(2 * n),
    predicted: new Float64Array(2 * n),
  }
  const winRate = new Float64Array(n)
  const estimates = [new Float64Array(n), new Float64Array(n)] as const
  for (let i = 0; i < n; i++) {
    const isHard = random.next() < 0.5
    const e = isHard ? 1 - asked : 0.5
    const q = [0.9, isHard ? hard : 0.8]
    const strong = random.next() < e
    winRate[i] = isHard ? 0.7 : 0.3
    rows.asked[i] = strong ? 1 : 0
    rows.score[i] = Number(random.next() < q[strong ? 0 : 1]!)
    for (const model of [0, 1] as const) {
      const probability = model === 0 ? e : 1 - e
      rows.observed[2 * i + model] = probability
      rows.predicted[2 * i + model] = q[model]!
      const answered = strong === (model === 0)
      estimates[model]![i] = q[model]! + (answered ? (rows.score[i]! - q[model]!) / probability : 0)
    }
  }
  const gain = estimates[0].map((s, i) => s - estimates[1][i]!)
  return { rows, winRate, gain, weak: estimates[1] }
}

const LOGS = 800
// the rare answers that weigh most are nearly all right; or they go either way
const WORLDS = {
  'one way': { hard: 0.93, asked: 0.03, rows: 400 },
  'both ways': { hard: 0.5, asked: 0.15, rows: 300 },
} as const

function coverageOf(world: World): Record<'plain' | 'gap' | 'loss' | 'effective', number> {
  const random = createRandom(7)
  const covered = { plain: 0, gap: 0, loss: 0, effective: 0 }
  const truth = 0.9 - (world.hard + 0.8) / 2
  // easy prompts are sent weak
  const lost = (0.9 - 0.8) / 2
  const holds = (interval: { low: number | null; high: number | null }, value: number): number =>
    interval.low! <= value && value <= interval.high! ? 1 / LOGS : 0
  for (let log = 0; log < LOGS; log++) {
    const { rows, winRate, gain } = draw(world, random)
    const floor = errorFloor(rows)
    const plain = sampleMeanInterval(gain)
    const threshold = { value: 0.5, source: 'calibrated' } as const
    const { loss } = operatingPoint({ winRate, threshold, gain, clear: true, floor })
    covered.plain += holds(plain, truth)
    covered.gap += holds(
      floor.widen(plain, () => 1),
      truth,
    )
    covered.loss += holds(loss, lost)
    const { strong, weak } = effectiveAnswers(rows)
    covered.effective += Math.min(strong, weak) / LOGS
  }
  return covered
}

describe('the least error of means of estimates', () => {
  test('lets intervals hold 95% where the few heavy answers nearly all go one way', () => {
    const { plain, gap, loss, effective } = coverageOf(WORLDS['one way'])
    expect(effective).toBeGreaterThan(20)
    expect(effective).toBeLessThan(100)
    expect(plain).toBeLessThan(0.92)
    expect(gap).toBeGreaterThan(0.95)
    expect(loss).toBeGreaterThan(0.93)
    expect(loss).toBeLessThan(0.975)
  })

  test('changes little where they go either way', () => {
    const { gap, loss, effective } = coverageOf(WORLDS['both ways'])
    expect(effective).toBeGreaterThan(40)
    expect(effective).toBeLessThan(100)
    expect(gap).toBeGreaterThan(0.935)
    expect(gap).toBeLessThan(0.975)
    expect(loss).toBeGreaterThan(0.935)
    expect(loss).toBeLessThan(0.975)
  })

  test('widens the bootstrap’s intervals and bands around the same values', async () => {
    const { rows, winRate, gain, weak } = draw(
      { hard: 0.6, asked: 0.1, rows: 300 },
      createRandom(3),
    )
    // all of the weak model's rare answers were right
    const lucky = { ...rows, score: rows.score.map((y, i) => (rows.asked[i] === 0 ? 1 : y)) }
    const input = { gain, weak, estimated: true, clear: true, bands: true, replicates: 50, seed: 1 }
    const measure = async (floor?: ReturnType<typeof errorFloor>) => {
      const [found] = await measureRouters([{ name: 'a', scores: winRate }], { ...input, floor })
      return found!
    }
    const [plain, wide] = [await measure(), await measure(errorFloor(lucky))]
    const width = ({ low, high }: { low: number | null; high: number | null }): number =>
      high! - low!
    expect(wide.report.apgr.value).toBe(plain.report.apgr.value)
    expect(width(wide.report.apgr)).toBeGreaterThan(1.05 * width(plain.report.apgr))
    expect(width(wide.report.cpt_interval['50'])).toBeGreaterThan(
      1.05 * width(plain.report.cpt_interval['50']),
    )
    expect(wide.band!.value).toEqual(plain.band!.value)
    expect(wide.band!.high[30]! - wide.band!.low[30]!).toBeGreaterThan(
      plain.band!.high[30]! - plain.band!.low[30]!,
    )
  })

  test('says nothing of prompts that both models answered', () => {
    const n = 100
    const rows: SingleRows = {
      asked: new Uint8Array(n).fill(2),
      score: new Float64Array(n),
      observed: new Float64Array(2 * n),
      predicted: new Float64Array(2 * n),
    }
    const interval = { value: 0.1, low: 0, high: 0.2 }
    expect(errorFloor(rows).widen(interval, () => 1)).toEqual(interval)
  })

  test('takes its quantile from Student’s distribution', () => {
    // Abramowitz and Stegun, table 26.10
    expect(studentQuantile(0.975, 1)).toBeCloseTo(12.706, 3)
    expect(studentQuantile(0.975, 10)).toBeCloseTo(2.228, 3)
    expect(studentQuantile(0.975, 120)).toBeCloseTo(1.98, 3)
    expect(betaCdf(0.5, 5, 5)).toBeCloseTo(0.5, 12)
  })
})

test('what a threshold is expected to achieve is as uncertain as that', () => {
  const { rows, winRate, gain, weak } = draw(WORLDS['one way'], createRandom(5))
  const lucky = { ...rows, score: rows.score.map((y, i) => (rows.asked[i] === 0 ? 1 : y)) }
  const plain = expectedAt({ winRate, gain, weak }, 0.5)
  const wide = expectedAt({ winRate, gain, weak, singles: lucky }, 0.5)
  for (const name of ['quality', 'loss'] as const) {
    expect(wide[name]!.value).toBe(plain[name]!.value)
    expect(wide[name]!.high - wide[name]!.low).toBeGreaterThan(
      1.02 * (plain[name]!.high - plain[name]!.low),
    )
  }
  const halves = takeCalibrationRows({ winRate, gain, singles: rows }, [4, 9])
  expect(halves.singles!.observed).toEqual(
    Float64Array.from([8, 9, 18, 19], (at) => rows.observed[at]!),
  )
})
