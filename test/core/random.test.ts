import { describe, expect, it } from 'vitest'
import { createRandom, deriveSeed } from '../../core/random.ts'

const draw = (seed: number, n: number): number[] => {
  const random = createRandom(seed)
  return Array.from({ length: n }, () => random.next())
}

describe('createRandom', () => {
  it('repeats itself for a seed and differs between neighbouring seeds', () => {
    expect(draw(5, 10)).toEqual(draw(5, 10))
    expect(draw(5, 10)).not.toEqual(draw(6, 10))
  })

  it('is uniform: chi-square over 64 cells within its 99.9% bound', () => {
    const cells = new Float64Array(64)
    for (const value of draw(11, 64_000)) cells[Math.floor(value * 64)]!++
    const chi = cells.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
    expect(chi).toBeLessThan(103.4) // chi-square quantile .999 at 63 degrees of freedom
  })

  it('draws normals of mean 0 and variance 1', () => {
    const random = createRandom(2)
    const values = Array.from({ length: 40_000 }, () => random.normal())
    const mean = values.reduce((a, b) => a + b) / values.length
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length
    expect(Math.abs(mean)).toBeLessThan(0.02)
    expect(Math.abs(variance - 1)).toBeLessThan(0.03)
  })

  it('shuffles every item to every place about equally often', () => {
    const random = createRandom(9)
    const places = Array.from({ length: 5 }, () => new Float64Array(5))
    for (let i = 0; i < 10_000; i++) {
      const items = random.shuffle(Int32Array.of(0, 1, 2, 3, 4))
      items.forEach((item, place) => {
        places[item]![place]!++
      })
    }
    for (const counts of places) {
      for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(200)
    }
  })
})

it('deriveSeed gives each purpose its own seed, and each seed its own', () => {
  const purposes = ['bootstrap', 'mf-init', 'mf-shuffle', 'svd', 'folds', 'shuffle 1', 'shuffle 2']
  const seeds = purposes.flatMap((purpose) =>
    Array.from({ length: 50 }, (_, seed) => deriveSeed(seed, purpose)),
  )
  expect(new Set(seeds).size).toBe(350)
  expect(deriveSeed(1, 'svd')).toBe(deriveSeed(1, 'svd'))
})
