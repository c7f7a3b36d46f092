import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../../core/random.ts'
import { pairThreshold } from '../../../../models/bundle/choice-rule.ts'
import { choiceOrder, firstOrder } from '../../../../models/decision/choice.ts'

const uniform = (n: number, next: () => number): Float64Array =>
  Float64Array.from({ length: n }, next)

describe('the rule of the best value', () => {
  it('takes the largest q - lambda c, as trying every model does', () => {
    const random = createRandom(1)
    for (let trial = 0; trial < 500; trial++) {
      const m = 2 + random.int(8)
      const quality = uniform(m, random.next)
      const costs = uniform(m, random.next)
      const lambda = 2 * random.next()
      const [first] = choiceOrder(
        { kind: 'best-value', lambda },
        quality,
        costs,
        undefined,
        firstOrder(m),
      )
      const values = Array.from(quality, (q, k) => q - lambda * costs[k]!)
      expect(values[first!]).toBe(Math.max(...values))
    }
  })

  it('of two models is the threshold on their win rate, (1 + lambda (c_s - c_w)) / 2', () => {
    const random = createRandom(2)
    let strong = 0
    for (let trial = 0; trial < 2000; trial++) {
      // eighths, so that ties occur and every sum is exact
      const eighth = (): number => random.int(9) / 8
      const [s, w, strongCost, weakCost] = [eighth(), eighth(), eighth() + 1, eighth()]
      const lambda = random.int(5) / 4
      if (s === w && lambda * (strongCost - weakCost) === 0) continue
      const rule = { kind: 'best-value', lambda } as const
      const [first] = choiceOrder(rule, [s, w], [strongCost, weakCost], undefined, firstOrder(2))
      const price = (1 + lambda * (strongCost - weakCost)) / 2
      const winRate = (1 + s - w) / 2
      expect(first === 0).toBe(winRate >= price)
      expect(pairThreshold(rule, strongCost, weakCost)).toBe(Math.min(price, 1))
      strong += first === 0 ? 1 : 0
    }
    expect(strong).toBeGreaterThan(200)
  })

  it('goes down by value, and what is not allowed comes last', () => {
    const order = choiceOrder(
      { kind: 'best-value', lambda: 1 },
      [0.9, 0.8, 0.7, 0.2],
      [0.5, 0.1, 0.05, 0],
      [1, 0, 1, 1],
      firstOrder(4),
    )
    expect([...order]).toEqual([2, 0, 3, 1])
  })
})

describe('the rule of the cheapest within a loss', () => {
  const quality = [0.9, 0.87, 0.84, 0.2]
  const costs = [5, 3, 1, 0.1]

  it('takes the cheapest of the good ones, then the dearer good ones, then the rest from the best down', () => {
    const at = (loss: number): number[] => [
      ...choiceOrder({ kind: 'cheapest-within', loss }, quality, costs, undefined, firstOrder(4)),
    ]
    expect(at(0)).toEqual([0, 1, 2, 3])
    expect(at(0.04)).toEqual([1, 0, 2, 3])
    expect(at(0.07)).toEqual([2, 1, 0, 3])
    expect(at(1)).toEqual([3, 2, 1, 0])
  })

  it('counts the loss from the best model that is allowed', () => {
    const rule = { kind: 'cheapest-within', loss: 0.04 } as const
    const [first] = choiceOrder(rule, quality, costs, [0, 1, 1, 1], firstOrder(4))
    expect(first).toBe(2)
  })
})
