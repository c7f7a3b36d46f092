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

  it('takes the exact test all the same where a few rows are graded, rounding them with their mean kept', () => {
    const target = { kind: 'max-loss', loss: 0.1, confidence: 0.9 } as const
    const mixed = simulate({ rows: 2000, seed: 5 })
    for (let i = 0; i < 100; i++) mixed.gain![i]! *= 0.5
    expect(methodFor(target, mixed).name).toBe('learn-then-test/paired-exact')
    const { threshold } = methodFor(target, mixed).choose({
      rows: mixed,
      target,
      grid: Float64Array.of(0.45, 0.5, 0.55, 0.6, 0.65),
      seed: 1,
    })
    expect(threshold).toBeGreaterThan(0.45)
  })

  it('refuses the exact test on weighted rows', () => {
    const weighted = { ...rows, weight: new Float64Array(100).fill(1) }
    const target = { kind: 'max-harm', harm: 0.1, confidence: 0.9 } as const
    const method = methodFor(target, weighted, 'clopper-pearson')
    const problem = { rows: weighted, target, grid: Float64Array.of(0.5, 0.9), seed: 1 }
    expect(() => method.choose(problem)).toThrow(/expected rows that count the same/)
  })
})
