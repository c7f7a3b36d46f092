import { describe, expect, it } from 'vitest'
import { modelsOption, ruleOption } from '../../scripts/cli/rule-options.ts'

describe('weir train --models', () => {
  it('reads names, all, and the two rules', () => {
    expect(modelsOption({ models: 'a, b,c' })).toEqual(['a', 'b', 'c'])
    expect(modelsOption({ models: 'all' })).toBe('all')
    expect(modelsOption({})).toBeUndefined()
    expect(ruleOption({})).toEqual({ kind: 'best-value' })
    expect(ruleOption({ loss: 0.05 })).toEqual({ kind: 'cheapest-within', loss: 0.05 })
    expect(ruleOption({ rule: 'cheapest-within' })).toEqual({ kind: 'cheapest-within', loss: 0.02 })
  })

  it('refuses a rule without models, a loss with the other rule, and unknown rules', () => {
    expect(() => modelsOption({ rule: 'best-value' })).toThrow(/--models with it/)
    expect(() => ruleOption({ rule: 'best-value', loss: 0.1 })).toThrow(/cheapest-within with it/)
    expect(() => ruleOption({ rule: 'fastest' })).toThrow(/one of best-value, cheapest-within/)
  })
})
