import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { meanInterval } from '../../../core/stats/intervals.ts'
import {
  chanceOfChange,
  correctJudge,
  expectedShrink,
  sequenceHalfWidth,
  studentQuantile,
} from '../../../core/stats/judged-mean.ts'

const ROWS = 5000
const LABELS = 100
const REPEATS = 500

interface World {
  /** share of rows whose true label is 1 */
  readonly mean: number
  /** probability that the judge says what is true */
  readonly agreement: number
  /** probability that it says 1 whatever is true */
  readonly bias: number
}

/** Many collections of one world: how often the interval holds the truth, and its width beside that of people alone. */
function simulate({ mean, agreement, bias }: World, weigh = false) {
  const random = createRandom(7)
  const totals = { covered: 0, width: 0, people: 0, value: 0, judge: 0 }
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const judged = new Float64Array(ROWS)
    const human = new Float64Array(ROWS).fill(Number.NaN)
    const weights = new Float64Array(ROWS)
    for (let i = 0; i < ROWS; i++) {
      const hard = random.next() < 0.5
      // half of the rows are drawn half as often as their share of the traffic, and are better by a tenth
      weights[i] = weigh && hard ? 2 : 1
      const truth = Number(random.next() < mean + (weigh ? (hard ? 0.05 : -0.1) : 0))
      judged[i] = random.next() < bias ? 1 : random.next() < agreement ? truth : 1 - truth
      if (i < LABELS) human[i] = truth
    }
    const { mean: interval } = correctJudge({ judged, human, ...(weigh && { weights }) })!
    const alone = meanInterval(human.subarray(0, LABELS), undefined, 0.95)
    totals.covered += Number(interval.low <= mean && mean <= interval.high) / REPEATS
    totals.value += interval.value / REPEATS
    totals.judge += judged.reduce((sum, value) => sum + value, 0) / ROWS / REPEATS
    totals.width += interval.high - interval.low
    totals.people += alone.high - alone.low
  }
  return { ...totals, ratio: totals.width / totals.people }
}

describe('a judge corrected by 100 labels of people, 5,000 rows', () => {
  test.each([
    ['that agrees on 85%', { mean: 0.5, agreement: 0.85, bias: 0 }, 0.75],
    ['that agrees on 95%', { mean: 0.5, agreement: 0.95, bias: 0 }, 0.5],
    ['that is biased', { mean: 0.62, agreement: 0.9, bias: 0.3 }, 0.95],
    ['that knows nothing', { mean: 0.5, agreement: 0.5, bias: 0.5 }, 1.03],
  ] as const)('%s: unbiased, with intervals that hold and shrink', (_, world, most) => {
    const { covered, value, ratio, judge } = simulate(world)
    expect(covered).toBeGreaterThanOrEqual(0.93)
    expect(covered).toBeLessThanOrEqual(0.975)
    expect(Math.abs(value - world.mean)).toBeLessThan(0.008)
    expect(ratio).toBeLessThanOrEqual(most)
    // what the judge alone would have said
    if (world.bias > 0.2 && world.agreement > 0.5) expect(judge - world.mean).toBeGreaterThan(0.05)
  })

  test('weighted by how often rows were drawn, it estimates the traffic', () => {
    const { covered, value } = simulate({ mean: 0.6, agreement: 0.85, bias: 0.1 }, true)
    expect(covered).toBeGreaterThanOrEqual(0.93)
    expect(covered).toBeLessThanOrEqual(0.975)
    expect(Math.abs(value - 0.6)).toBeLessThan(0.008)
  })
})

test('the corrected labels have the mean of the estimate, and a judge of one opinion changes nothing', () => {
  const human = Array.from({ length: 40 }, (_, i) => (i < 20 ? i % 2 : Number.NaN))
  const judged = Array.from({ length: 40 }, (_, i) => (i % 3 === 0 ? 1 : 0.5))
  const { values, mean } = correctJudge({ judged, human })!
  expect(values.reduce((sum, value) => sum + value, 0) / 40).toBeCloseTo(mean.value, 12)
  const blind = correctJudge({ judged: judged.map(() => 1), human })!
  expect(blind.mean.value).toBeCloseTo(0.5, 12)
  expect(blind.slope).toBe(0)
})

test('too few labels of people correct nothing', () => {
  const human = Array.from({ length: 30 }, (_, i) => (i < 9 ? 1 : Number.NaN))
  expect(correctJudge({ judged: human.map(() => 1), human })).toBeUndefined()
})

test('a confidence sequence holds at every look, where a fixed interval does not', () => {
  const random = createRandom(3)
  const RUNS = 400
  let missed = 0
  let missedFixed = 0
  for (let run = 0; run < RUNS; run++) {
    let sum = 0
    let squares = 0
    let out = false
    let outFixed = false
    for (let n = 1; n <= 3000; n++) {
      const value = Number(random.next() < 0.4)
      sum += value
      squares += value ** 2
      if (n < 50 || n % 50 > 0) continue
      const error = Math.sqrt((squares / n - (sum / n) ** 2) / n)
      const off = Math.abs(sum / n - 0.4)
      out ||= off > sequenceHalfWidth(error, n)
      outFixed ||= off > 1.96 * error
    }
    missed += Number(out) / RUNS
    missedFixed += Number(outFixed) / RUNS
  }
  expect(missed).toBeLessThanOrEqual(0.05)
  expect(missedFixed).toBeGreaterThan(0.15)
})

test('the chance that a verdict changes is that of repeating the experiment', () => {
  const random = createRandom(9)
  const [value, error, later] = [0.03, 0.02, 0.01]
  let changed = 0
  for (let i = 0; i < 20_000; i++) {
    const then = value + Math.sqrt(error ** 2 - later ** 2) * random.normal()
    changed += Number(Math.abs(then) > 1.96 * later) / 20_000
  }
  // open now, decided later
  expect(chanceOfChange(value, 0, { error, later })).toBeCloseTo(changed, 1)
  expect(chanceOfChange(0.5, 0, { error, later })).toBeLessThan(1e-6)
})

test('quantiles of Student’s t are those of its tables', () => {
  expect(studentQuantile(0.975, 10)).toBeCloseTo(2.2281, 3)
  expect(studentQuantile(0.975, 98)).toBeCloseTo(1.9845, 3)
  expect(studentQuantile(0.025, 10)).toBeCloseTo(-2.2281, 3)
  expect(studentQuantile(0.975, 1e9)).toBeCloseTo(1.96, 2)
})

test('the expected width falls to .71 at 85% agreement and .44 at 95%', () => {
  expect(expectedShrink(0.7, 100, 1e9)).toBeCloseTo(0.714, 3)
  expect(expectedShrink(0.9, 100, 1e9)).toBeCloseTo(0.436, 3)
  expect(expectedShrink(0.9, 100, 100)).toBe(1)
})
