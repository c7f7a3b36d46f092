import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { operatingPoint } from '../../../training/evaluate/metrics/operating-point.ts'
import { reliabilityOf } from '../../../training/evaluate/metrics/reliability.ts'
import { worstMisses } from '../../../training/evaluate/report/misses.ts'
import { promptTraits, sliceReports } from '../../../training/evaluate/report/slices.ts'

describe('the operating point', () => {
  test('by hand: two of four strong, half of the gap kept', () => {
    const point = operatingPoint({
      winRate: [0.9, 0.6, 0.4, 0.1],
      threshold: { value: 0.5, source: 'calibrated' },
      gain: Float64Array.of(1, 0, 1, 0),
      weak: [0, 1, 0, 1],
      spend: { strong: Float64Array.of(4, 4, 4, 4), weak: Float64Array.of(1, 1, 1, 1) },
      clear: true,
    })
    expect(point.strong_share.value).toBe(0.5)
    expect(point.quality.value).toBe(0.75)
    expect(point.pgr.value).toBe(0.5)
    expect(point.loss.value).toBe(0.25)
    expect(point.dollars_per_1k.value).toBe(2500)
    expect(point.strong_dollars_per_1k).toBe(4000)
  })
})

describe('reliability', () => {
  test('a calibrated router shows about the ECE that chance alone gives, a shifted one its shift', () => {
    const random = createRandom(5)
    const winRate = Float64Array.from({ length: 6_000 }, () => 0.2 + 0.6 * random.next())
    const y = winRate.map((p) => (random.next() < p ? 1 : 0))
    const good = reliabilityOf(winRate, y)
    expect(good.ece / good.ece_perfect).toBeGreaterThan(0.5)
    expect(good.ece / good.ece_perfect).toBeLessThan(1.6)
    expect(good.bins).toHaveLength(15)
    expect(good.bins[0]!.predicted).toBeLessThan(good.bins[14]!.predicted)
    const shifted = reliabilityOf(
      winRate.map((p) => p + 0.15),
      y,
    )
    expect(shifted.ece).toBeCloseTo(0.15, 1)
    expect(good.brier.value).toBeCloseTo(
      winRate.reduce((sum, p) => sum + p * (1 - p), 0) / winRate.length,
      2,
    )
  })
})

describe('slices', () => {
  const random = createRandom(6)
  const n = 600
  const names = Array.from({ length: n }, (_, i) => ['fine', 'lossy', 'tiny'][i < 10 ? 2 : i % 2]!)
  const gain = Float64Array.from(names, (name) =>
    name === 'tiny'
      ? 1
      : name === 'lossy'
        ? Number(random.next() < 0.5)
        : Number(random.next() < 0.02),
  )
  const winRate = new Float64Array(n).fill(0.2)

  test('worst first, and a group of fewer than 30 prompts is not shown', () => {
    const slices = sliceReports(winRate, 0.5, gain, [{ by: 'category', names }])
    expect(slices.map(({ name }) => name)).toEqual(['lossy', 'fine'])
    expect(slices[0]!.loss.value).toBeCloseTo(0.5, 1)
    expect(slices[0]!.strong_share).toBe(0)
  })

  test('a grouping that puts all prompts together says nothing new', () => {
    const whole = names.map(() => 'all')
    expect(sliceReports(winRate, 0.5, gain, [{ by: 'source', names: whole }])).toEqual([])
  })
})

describe('worst misses', () => {
  test('strong-only prompts sent weak, the dearest first, then the surest', () => {
    const misses = worstMisses(
      [0.3, 0.1, 0.9, 0.2, 0.1],
      0.5,
      Float64Array.of(1, 1, 1, 0.5, 0),
      ['a', 'b', 'c', 'd', 'e'],
      undefined,
    )
    expect(misses.map(({ prompt }) => prompt)).toEqual(['b', 'a', 'd'])
  })
})

describe('prompt traits', () => {
  test.each([
    ['What is the capital of France and how large is it?', 'English'],
    ['¿Cuál es la capital de Francia y qué tan grande es?', 'Spanish'],
    ['Quelle est la capitale de la France, et pour qui ?', 'French'],
    ['Was ist die Hauptstadt von Frankreich und wie groß ist sie?', 'German'],
    ['法国的首都是哪里？', 'Chinese'],
    ['フランスの首都はどこですか', 'Japanese'],
    ['Какая столица Франции?', 'Cyrillic script'],
    ['12 + 30 =', 'no words'],
  ])('%s is %s', (prompt, language) => {
    expect(promptTraits(prompt).language).toBe(language)
  })

  test('code is told from prose', () => {
    expect(promptTraits('Why does this fail?\nconst x = foo(1);\nreturn x').code).toBe('with code')
    expect(promptTraits('def f(x):\n  return x + 1').code).toBe('with code')
    expect(
      promptTraits('Return the class to its public from last year; import rules apply.').code,
    ).toBe('without code')
  })
})
