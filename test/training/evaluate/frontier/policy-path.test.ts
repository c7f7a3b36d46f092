import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../../core/random.ts'
import { ruleAt } from '../../../../models/bundle/choice-rule.ts'
import { choiceOrder, firstOrder } from '../../../../models/decision/choice.ts'
import {
  emptyPoints,
  qualityAt,
  walkPath,
} from '../../../../training/evaluate/frontier/frontier.ts'
import {
  choicesAt,
  policyPath,
  pricePath,
} from '../../../../training/evaluate/frontier/policy-path.ts'
import { simulated } from './simulated.ts'

const M = 6
const table = simulated(200, M, 1)

for (const [kind, most] of [
  ['best-value', 60],
  ['cheapest-within', 1],
] as const) {
  describe(`the path of ${kind}`, () => {
    const path = policyPath(kind, table, M)

    it('holds at every number what asking the rule prompt by prompt gives', () => {
      const random = createRandom(2)
      for (let trial = 0; trial < 50; trial++) {
        const value = trial === 0 ? 0 : most * random.next()
        const expected = Array.from({ length: table.rows }, (_, i) => {
          const quality = table.quality.subarray(i * M, (i + 1) * M)
          const costs = table.costs.subarray(i * M, (i + 1) * M)
          return choiceOrder(ruleAt(kind, value), quality, costs, undefined, firstOrder(M))[0]
        })
        expect([...choicesAt(path, value)]).toEqual(expected)
      }
    })

    it('ends with the cheapest model of each prompt', () => {
      const last = choicesAt(path, Number.POSITIVE_INFINITY)
      const cheapest = Array.from(last, (_, i) => {
        const costs = [...table.costs.subarray(i * M, (i + 1) * M)]
        return costs.indexOf(Math.min(...costs))
      })
      expect([...last]).toEqual(cheapest)
    })

    it('walked gives at each stop the mean score and cost of its choices, weighted ones too', () => {
      const random = createRandom(3)
      const counts = new Uint8Array(table.rows)
      random.resample(counts)
      const priced = pricePath(path, table)
      for (const weights of [undefined, counts]) {
        const points = walkPath(priced, weights, emptyPoints(priced))
        for (const stop of [0, 1, 7, points.points - 1]) {
          const next = stop + 1 < points.points ? points.value[stop + 1]! : points.value[stop]! + 1
          const between = (points.value[stop]! + next) / 2
          let score = 0
          let cost = 0
          let drawn = 0
          choicesAt(path, between).forEach((model, i) => {
            const weight = weights?.[i] ?? 1
            score += weight * table.scores[i * M + model]!
            cost += weight * table.costs[i * M + model]!
            drawn += weight
          })
          expect(points.quality[stop]).toBeCloseTo(score / drawn, 12)
          expect(points.cost[stop]).toBeCloseTo(cost / drawn, 12)
        }
      }
    })
  })
}

describe('the quality at a cost', () => {
  it('is that of the best stop that costs no more, and unknown below the cheapest', () => {
    const priced = pricePath(policyPath('best-value', table, M), table)
    const points = walkPath(priced, undefined, emptyPoints(priced))
    expect(qualityAt(points, 1)).toBe(points.quality[0])
    expect(qualityAt(points, points.cost[points.points - 1]! / 2)).toBeNaN()
  })
})
