import { describe, expect, it } from 'vitest'
import { manyRows } from '../../../scripts/eval/many/rows.ts'
import { singlePoints } from '../../../training/evaluate/frontier/frontier.ts'
import { simulated } from '../../training/evaluate/frontier/simulated.ts'

describe('a row of eval:many', () => {
  const truth = simulated(600, 3, 8)
  const singles = singlePoints(truth)
  const always = (k: number): Int32Array => new Int32Array(truth.rows).fill(k)

  it('sets a router that always asks one model beside that model: nothing gained, nothing lost', () => {
    const [row] = manyRows(new Map([['best', [[always(2)]]]]), truth, singles, [1], 200)
    expect(row!.quality).toBeCloseTo(singles[2]!.quality, 12)
    expect(row!.cost).toBeCloseTo(singles[2]!.cost, 12)
    expect(row!.aboveSingle).toEqual({ value: 0, low: 0, high: 0 })
  })

  it('holds the best model within the budget against one that spends less', () => {
    const choices = new Map([['cheap', [[always(0)]]]])
    const [row] = manyRows(choices, truth, singles, [0.5], 200)
    const room = 0.5 * singles[2]!.cost
    const affordable = singles.filter(({ cost }) => cost <= room).map(({ quality }) => quality)
    expect(row!.aboveSingle.value).toBeCloseTo(singles[0]!.quality - Math.max(...affordable), 12)
    expect(row!.aboveMixture.value!).toBeLessThan(row!.aboveSingle.value!)
    expect(row!.aboveMixture.high!).toBeLessThan(0)
  })

  it('means over seeds, each seed beside it', () => {
    const choices = new Map([['two', [[always(0)], [always(2)]]]])
    const [row] = manyRows(choices, truth, singles, [1], 50)
    expect(row!.seeds).toHaveLength(2)
    expect(row!.quality).toBeCloseTo((row!.seeds[0]! + row!.seeds[1]!) / 2, 12)
  })
})
