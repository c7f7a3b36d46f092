import { expect, test } from 'vitest'
import { clustersOf } from '../../../scripts/collect/clusters.ts'
import { allocate, drawSample, type SamplingRule } from '../../../scripts/collect/sampling.ts'

const N = 60
const winRates = Array.from({ length: N }, (_, i) => i / (N - 1))
const groups = Array.from({ length: N }, (_, i) =>
  i < 48 ? 'common' : i < 58 ? 'some' : undefined,
)
const RULES: readonly SamplingRule[] = [
  { kind: 'uniform' },
  { kind: 'stratified', groups },
  { kind: 'active', winRates },
]

test.each(RULES)('$kind: prompts are drawn as often as their propensity says', (rule) => {
  const REPEATS = 4000
  const drawn = new Float64Array(N)
  const stated = new Float64Array(N)
  for (let seed = 0; seed < REPEATS; seed++) {
    const sample = drawSample(N, 20, rule, seed)
    expect(sample).toHaveLength(20)
    expect(new Set(sample.map(({ index }) => index)).size).toBe(20)
    for (const { index, propensity } of sample) {
      drawn[index]! += 1 / REPEATS
      stated[index] = propensity
    }
  }
  // five standard errors of a share around a third
  for (let i = 0; i < N; i++) expect(Math.abs(drawn[i]! - stated[i]!)).toBeLessThan(0.04)
})

test.each(RULES)(
  '$kind: estimates weighted by propensity are unbiased, whatever the values',
  (rule) => {
    // values that go with what the rule prefers
    const value = (i: number): number =>
      (i % 7 === 0 ? 5 : 0) + 4 * winRates[i]! * (1 - winRates[i]!)
    const true1 = winRates.reduce((sum, _, i) => sum + value(i), 0) / N
    let mean = 0
    const REPEATS = 3000
    for (let seed = 0; seed < REPEATS; seed++) {
      const sample = drawSample(N, 20, rule, seed)
      mean +=
        sample.reduce((sum, { index, propensity }) => sum + value(index) / propensity, 0) /
        N /
        REPEATS
    }
    expect(Math.abs(mean - true1)).toBeLessThan(0.03)
  },
)

test('the start of a sample is a sample of the same kind', () => {
  const starts = new Float64Array(N)
  for (let seed = 0; seed < 3000; seed++) {
    for (const { index } of drawSample(N, 20, { kind: 'active', winRates }, seed).slice(0, 5)) {
      starts[index]! += 1 / 3000
    }
  }
  const whole = drawSample(N, 20, { kind: 'active', winRates }, 1)
  for (const { index, propensity } of whole) {
    expect(Math.abs(starts[index]! - propensity / 4)).toBeLessThan(0.03)
  }
})

test('active sampling prefers prompts where the router is unsure, and leaves no prompt out', () => {
  const sample = drawSample(N, N / 2, { kind: 'active', winRates }, 3)
  const by = new Map(sample.map(({ index, propensity }) => [index, propensity]))
  const sure = [...by].filter(([i]) => i < 5 || i > 54).map(([, p]) => p)
  const unsure = [...by].filter(([i]) => i > 25 && i < 34).map(([, p]) => p)
  expect(Math.min(...unsure)).toBeGreaterThan(2 * Math.max(...sure))
  expect(Math.min(...sure)).toBeGreaterThan(0.1)
})

test('groups get numbers in proportion to the roots of their sizes, and each at least one', () => {
  expect(allocate([900, 100], 40)).toEqual([30, 10])
  expect(allocate([10_000, 1], 5)).toEqual([4, 1])
  expect(allocate([3, 3, 100], 50)).toEqual([3, 3, 44])
  expect(allocate([2, 2], 4)).toEqual([2, 2])
})

test('a whole file is drawn with certainty, and more than there is, is refused', () => {
  for (const rule of RULES) {
    expect(drawSample(N, N, rule, 1).every(({ propensity }) => propensity === 1)).toBe(true)
    expect(() => drawSample(N, N + 1, rule, 1)).toThrow(/from 1 to 60/)
    expect(() => drawSample(N, 0, rule, 1)).toThrow(/--sample-size/)
  }
})

test('prompts are grouped by their words, alike ones together, and a small group is drawn more often', async () => {
  const subjects = [
    (i: number) =>
      `How long do I bake bread with flour, yeast and salt at ${i} degrees in my oven?`,
    (i: number) => `Write a Python function that sorts a list of ${i} numbers by recursion`,
    (i: number) => `Which planet of the solar system has ${i} moons and rings around it?`,
  ]
  // 200, 100 and 10 of them
  const prompts = subjects.flatMap((ask, s) =>
    Array.from({ length: [200, 100, 10][s]! }, (_, i) => ask(i)),
  )
  const cluster = await clustersOf(prompts, 8, 1)
  const subjectOf = (index: number): number => (index < 200 ? 0 : index < 300 ? 1 : 2)
  const tally = Array.from({ length: 8 }, () => [0, 0, 0])
  cluster.forEach((of, index) => {
    tally[of]![subjectOf(index)]!++
  })
  const alike = tally.reduce((sum, counts) => sum + Math.max(...counts), 0)
  expect(alike / prompts.length).toBeGreaterThan(0.97)
  const groups = Array.from(cluster, String)
  const sample = drawSample(prompts.length, 60, { kind: 'stratified', groups }, 1)
  // 2 if all prompts were drawn alike
  expect(sample.filter(({ index }) => index >= 300).length).toBeGreaterThan(3)
})

test('clusters take any prompts: none in common, none at all, fewer than clusters', async () => {
  expect([...(await clustersOf(['', '', '!'], 8, 1))]).toHaveLength(3)
  expect([...(await clustersOf(['a b'], 2, 1))]).toEqual([0])
  const stopped = AbortSignal.abort()
  await expect(clustersOf(['a', 'b'], 2, 1, { signal: stopped })).rejects.toThrow()
})
