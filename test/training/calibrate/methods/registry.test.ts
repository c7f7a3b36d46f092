import { describe, expect, it } from 'vitest'
import { describeMethod } from '../../../../testing/method-contract.ts'
import { simulate } from '../../../../testing/simulated-rows.ts'
import type { Method } from '../../../../training/calibrate/method.ts'
import {
  METHODS,
  methodFor,
  registerBoundTest,
  registerMethod,
} from '../../../../training/calibrate/methods/registry.ts'
import { calibrateThreshold } from '../../../../training/calibrate/threshold.ts'

// a copy: methods that a test registers are no part of it
for (const method of [...METHODS]) describeMethod(method)

describe('a method from outside', () => {
  const rows = simulate({ rows: 400, seed: 3 })
  const target = { kind: 'max-loss', loss: 0.1, confidence: 0.9 } as const

  it('is known by its name, which is taken once', () => {
    const half: Method = {
      name: 'half',
      targets: ['max-loss'],
      choose: () => ({ threshold: 0.5, promise: 'estimate', assumptions: [] }),
    }
    registerMethod(half)
    const { threshold, certificate } = calibrateThreshold({ rows, target, method: 'half', seed: 1 })
    expect(threshold).toBe(0.5)
    expect(certificate).toMatchObject({ method: 'half', promise: 'estimate', n: 400 })
    expect(() => registerMethod(half)).toThrow(/a new name for method, got half/)
  })

  it('is learn-then-test with a bound of one’s own', () => {
    registerBoundTest({ name: 'never', values: 'bounded', rejects: () => false })
    expect(() => calibrateThreshold({ rows, target, method: 'never', seed: 1 })).toThrow(
      /not enough data|cannot promise/,
    )
  })
})

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
    expect(() => method.choose(problem)).toThrow(/expected rows of equal weight/)
  })
})
