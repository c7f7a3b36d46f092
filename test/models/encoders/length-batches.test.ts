import { describe, expect, it } from 'vitest'
import { lengthBatches } from '../../../models/encoders/hf/transformer.ts'

describe('length batches', () => {
  const lengths = [5, 100, 5, 0, 104, 6, 300, 5]

  it('hold every row that has tokens exactly once', () => {
    const rows = lengthBatches(lengths, 3).flatMap((batch) => batch.rows)
    expect(rows.sort((a, b) => a - b)).toEqual([0, 1, 2, 4, 5, 6, 7])
  })

  it('are as wide as their longest row, which is at most a tenth longer than the shortest', () => {
    for (const { rows, width } of lengthBatches(lengths, 8)) {
      const inside = rows.map((row) => lengths[row]!)
      expect(width).toBe(Math.max(...inside))
      expect(width).toBeLessThanOrEqual(Math.min(...inside) * 1.1)
    }
  })

  it('hold no more rows than the limit', () => {
    expect(lengthBatches(lengths, 2).map(({ rows }) => rows.length)).toEqual([2, 1, 1, 2, 1])
    expect(lengthBatches(lengths, 1)).toHaveLength(7)
  })
})
