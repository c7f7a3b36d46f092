import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { evaluateRouters } from '../../../training/evaluate/evaluate-routers.ts'

/** Prompts whose gain depends on a hidden difficulty; length says nothing unless asked to. */
function planted(n: number, seed: number, lengthTells = false) {
  const random = createRandom(seed)
  const difficulty = Float64Array.from({ length: n }, () => random.next())
  const strong = Float32Array.from(difficulty, (d) => (random.next() < 0.95 - 0.2 * d ? 1 : 0))
  const weak = Float32Array.from(difficulty, (d) => (random.next() < 0.95 - 0.8 * d ? 1 : 0))
  const prompts = Array.from(difficulty, (d) =>
    'x'.repeat(1 + Math.floor(400 * (lengthTells ? d : random.next()))),
  )
  const y = Float32Array.from(strong, (s, i) => (1 + s - weak[i]!) / 2)
  return { prompts, labels: { strong, weak, y }, difficulty, random }
}

describe('evaluateRouters', () => {
  test('a router that knows the difficulty beats prompt length, and the report says so', async () => {
    const { prompts, labels, difficulty } = planted(3_000, 1)
    const report = await evaluateRouters({
      routers: [{ name: 'knows', winRate: difficulty }],
      prompts,
      labels,
      seed: 1,
      replicates: 200,
    })
    const router = report.routers[0]!
    expect(router.works).toBe(true)
    expect(router.verdict).toMatch(/^beats prompt length by \.\d+ \[\.\d+, \.\d+\]$/)
    expect(router.apgr.low).toBeLessThan(router.apgr.value!)
    expect(router.apgr.high).toBeGreaterThan(router.apgr.value!)
    expect(report.baselines.random!.apgr.value).toBe(0.5)
    expect(report.baselines.oracle!.apgr.value).toBeGreaterThan(router.apgr.value!)
  })

  test('a random router is reported as not working, with how many prompts it would take', async () => {
    const { prompts, labels, random } = planted(640, 2)
    const report = await evaluateRouters({
      routers: [{ name: 'coin', winRate: Float64Array.from(prompts, () => random.next()) }],
      prompts,
      labels,
      seed: 1,
      replicates: 200,
    })
    expect(report.routers[0]!.works).toBe(false)
    expect(report.routers[0]!.verdict).toMatch(
      /not distinguishable from random: .*; 640 prompts can't show a difference under \.\d+; about [\d,]+ would/,
    )
  })

  test('prompt length itself is reported as not working, however well length does', async () => {
    const { prompts, labels } = planted(3_000, 3, true)
    const report = await evaluateRouters({
      routers: [{ name: 'length', winRate: prompts.map((prompt) => prompt.length / 1_000) }],
      prompts,
      labels,
      seed: 1,
      replicates: 200,
    })
    const router = report.routers[0]!
    expect(router.apgr.low).toBeGreaterThan(0.5)
    expect(router.versus.prompt_length!.value).toBe(0)
    expect(router.works).toBe(false)
    expect(router.verdict).toContain('not distinguishable from prompt length')
  })

  test('where strong is not clearly better, PGR is undefined and said to be', async () => {
    const { prompts, labels, difficulty } = planted(400, 4)
    const same = { y: new Float32Array(400).fill(0.5), strong: labels.weak, weak: labels.weak }
    const report = await evaluateRouters({
      routers: [{ name: 'any', winRate: difficulty }],
      prompts,
      labels: same,
      seed: 1,
      replicates: 50,
    })
    expect(report.quality.clear).toBe(false)
    expect(report.routers[0]!.apgr).toEqual({ value: null, low: null, high: null })
    expect(report.routers[0]!.works).toBeNull()
    expect(report.routers[0]!.verdict).toContain('cannot be judged')
    expect(report.warnings.join()).toContain('not clear of 0')
  })

  test('preferences alone give the gain 2y - 1', async () => {
    const { prompts, labels, difficulty } = planted(500, 5)
    const input = {
      routers: [{ name: 'r', winRate: difficulty }],
      prompts,
      seed: 1,
      replicates: 50,
    }
    const outcomes = await evaluateRouters({ ...input, labels })
    const preferences = await evaluateRouters({ ...input, labels: { y: labels.y } })
    expect(preferences.routers[0]!.apgr.value).toBeCloseTo(outcomes.routers[0]!.apgr.value!, 6)
    expect(preferences.quality.strong).toBeNull()
    expect(preferences.labels).toBe('preferences')
  })

  test('two routers are compared on the same prompts, and the same router differs from itself by 0', async () => {
    const { prompts, labels, difficulty } = planted(500, 6)
    const report = await evaluateRouters({
      routers: ['a', 'b', 'c'].map((name) => ({ name, winRate: difficulty })),
      prompts,
      labels,
      seed: 1,
      replicates: 50,
    })
    expect(report.comparisons.map(({ a, b }) => a + b)).toEqual(['ab', 'ac', 'bc'])
    expect(report.comparisons[0]).toMatchObject({ value: 0, low: 0, high: 0, p: 1, p_holm: 1 })
  })

  test('learned baselines are fitted out of fold: categories that say nothing score near one half', async () => {
    const { prompts, labels, difficulty, random } = planted(2_000, 7)
    const categories = prompts.map(() => `c${random.int(40)}`)
    const report = await evaluateRouters({
      routers: [{ name: 'r', winRate: difficulty }],
      prompts,
      labels,
      categories,
      seed: 1,
      replicates: 50,
    })
    expect(report.baselines.category_prior!.note).toBe('out of fold')
    expect(Math.abs(report.baselines.category_prior!.apgr.value! - 0.5)).toBeLessThan(0.05)
  })

  test('the same seed gives the same report', async () => {
    const { prompts, labels, difficulty } = planted(300, 8)
    const run = () =>
      evaluateRouters({
        routers: [{ name: 'r', winRate: difficulty }],
        prompts,
        labels,
        seed: 9,
        replicates: 50,
      })
    expect(await run()).toEqual(await run())
  })

  test('refuses too few prompts, labels out of range and win rates of another length', async () => {
    const { prompts, labels, difficulty } = planted(100, 8)
    const input = { routers: [{ name: 'r', winRate: difficulty }], prompts, labels, seed: 1 }
    await expect(evaluateRouters({ ...input, prompts: prompts.slice(0, 5) })).rejects.toThrow(
      'expected at least 20 rows to evaluate on, got 5',
    )
    await expect(
      evaluateRouters({ ...input, labels: { y: new Float32Array(100).fill(2) } }),
    ).rejects.toThrow('expected values of y in [0, 1], got 2 at prompt 0')
    await expect(
      evaluateRouters({ ...input, routers: [{ name: 'short', winRate: [0.5] }] }),
    ).rejects.toThrow('expected 100 win rates of short, one per prompt, got 1')
  })
})
