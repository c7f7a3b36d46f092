import { describe, expect, it } from 'vitest'
import { METHODS, methodFor } from '../../../../training/calibrate/methods/registry.ts'
import { describeMethod } from '../method-contract.ts'
import { simulate } from '../simulated.ts'

for (const method of METHODS) describeMethod(method)

describe('methodFor', () => {
  const rows = simulate({ rows: 100, seed: 1 })

  it('takes the exact test for harm that is 0 or 1, and the betting test for graded scores', () => {
    const target = { kind: 'max-harm', harm: 0.1, confidence: 0.9 } as const
    expect(methodFor(target, rows).name).toBe('learn-then-test/clopper-pearson')
    const graded = { ...rows, gain: rows.gain!.map((gain) => gain / 2) }
    expect(methodFor(target, graded).name).toBe('learn-then-test/betting')
  })

  it('refuses a method that cannot meet the target, and names those that can', () => {
    expect(() => methodFor({ kind: 'strong-share', share: 0.3 }, rows, 'betting')).toThrow(
      /expected one of quantile for --method, got betting/,
    )
  })

  it('refuses the exact test on graded outcomes', () => {
    const graded = { ...rows, gain: rows.gain!.map((gain) => gain / 2) }
    const target = { kind: 'max-harm', harm: 0.1, confidence: 0.9 } as const
    const method = methodFor(target, graded, 'clopper-pearson')
    const problem = { rows: graded, target, grid: Float64Array.of(0.5, 0.9), seed: 1 }
    expect(() => method.choose(problem)).toThrow(/outcomes of 0 and 1/)
  })
})
