import Type from 'typebox'
import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { real, whole, word } from '../../../training/trainers/settings.ts'
import {
  drawSettings,
  planRungs,
  searchSpace,
  successiveHalving,
} from '../../../training/tune/tune-family.ts'

describe('successive halving', () => {
  it('keeps a third a rung, and its last rung sees all rows', () => {
    expect(planRungs(27)).toEqual([
      { trials: 27, fraction: 1 / 9 },
      { trials: 9, fraction: 1 / 3 },
      { trials: 3, fraction: 1 },
    ])
    expect(planRungs(2)).toEqual([{ trials: 2, fraction: 1 }])
    for (let n = 1; n < 60; n++) expect(planRungs(n).at(-1)!.fraction).toBe(1)
  })

  it('finds the least loss, spends most on the best, and brings the defaults to the last rung', async () => {
    const asked: [number, number][] = []
    // the defaults are the worst of all
    const found = await successiveHalving([9, 5, 3, 8, 1, 7, 6, 4, 2], async (at, rung) => {
      asked.push([at, rung])
      return at + (rung === 0 ? 0.1 : 0)
    })
    expect(found.trials[found.best]!.settings).toBe(1)
    expect(asked.filter(([, rung]) => rung === 1).map(([at]) => at)).toEqual([9, 1, 2])
    expect(asked.filter(([, rung]) => rung === 2).map(([at]) => at)).toEqual([9, 1])
    expect(found.stopped).toBe(false)
  })

  it('passes over what could not be fitted', async () => {
    const found = await successiveHalving([1, 2, 3], async (at) => (at === 2 ? Number.NaN : 4 - at))
    expect(found.trials[found.best]!.settings).toBe(3)
  })

  it('stopped in a rung, keeps the best of the last whole one and no half-made measurement', async () => {
    const controller = new AbortController()
    const found = await successiveHalving(
      [5, 4, 1, 3, 2, 6, 7, 8, 9],
      async (at, rung) => {
        if (rung === 1 && at === 1) controller.abort()
        return rung === 1 ? 0 : at
      },
      controller.signal,
    )
    expect(found.stopped).toBe(true)
    expect(found.trials[found.best]!.settings).toBe(1)
    expect(found.trials[found.best]!.losses).toEqual([1])
  })

  it('stopped in the first rung, keeps the best so far; before any, the defaults', async () => {
    const stopAt = async (place: number) => {
      const controller = new AbortController()
      if (place < 0) controller.abort()
      const found = await successiveHalving(
        [3, 2, 1],
        async (at) => {
          if (at === 3 - place) controller.abort()
          return at
        },
        controller.signal,
      )
      return found.trials[found.best]!.settings
    }
    expect(await stopAt(2)).toBe(2)
    expect(await stopAt(-1)).toBe(3)
  })
})

describe('a search space', () => {
  const schema = Type.Object({
    rate: real(0.1, 'a', { search: { from: 1e-4, to: 1, scale: 'log' } }),
    width: whole(8, 'b', { search: { among: [4, 8, 16] } }),
    form: word(['x', 'y'], 'c'),
  })

  it('holds what has a search range and was not set by hand', () => {
    expect(searchSpace(schema).map(([name]) => name)).toEqual(['rate', 'width'])
    expect(searchSpace(schema, { width: 3 }).map(([name]) => name)).toEqual(['rate'])
  })

  it('is drawn from evenly on its scale, each part once, the same for a seed', () => {
    const draw = (seed: number, n: number) =>
      drawSettings(searchSpace(schema), n, createRandom(seed))
    expect(draw(1, 20)).toEqual(draw(1, 20))
    expect(draw(2, 20)).not.toEqual(draw(1, 20))
    const points = draw(2, 30)
    // four decades in 30 parts: a point each
    const parts = points.map(({ rate }) => Math.floor(((Math.log10(rate as number) + 4) / 4) * 30))
    expect(new Set(parts).size).toBeGreaterThanOrEqual(29) // rounding may move one over an edge
    for (const width of [4, 8, 16]) {
      expect(points.filter((point) => point.width === width)).toHaveLength(10)
    }
    expect(drawSettings([], 5, createRandom(1))).toEqual([])
  })
})
