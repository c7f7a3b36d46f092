import { describe, expect, it } from 'vitest'
import { standings } from '../../training/tune/tune.ts'

const around = (mean: number, swing: number): number[] =>
  Array.from({ length: 100 }, (_, i) => mean + (i % 2 === 0 ? swing : -swing))

describe('the one-standard-error rule', () => {
  it('takes the simplest within one paired standard error of the best', () => {
    const found = standings([
      { name: 'simple', losses: around(0.51, 0.2) },
      { name: 'rich', losses: around(0.5, 0) },
    ])
    expect(found.map(({ chosen }) => chosen)).toEqual([true, false])
    expect(found[0]!.above).toBeCloseTo(0.01, 12)
    expect(found[0]!.error).toBeCloseTo(0.2 / Math.sqrt(99), 12)
  })

  it('takes the better one where the difference is clear row by row, however noisy each is', () => {
    const found = standings([
      { name: 'simple', losses: around(0.51, 0.2) },
      { name: 'rich', losses: around(0.5, 0.2) },
    ])
    expect(found.find(({ chosen }) => chosen)!.name).toBe('rich')
  })
})
