import { describe, expect, it } from 'vitest'
import { modelsOption, ruleOption } from '../../scripts/cli/choice-flags.ts'
import { readChoiceTarget } from '../../scripts/cli/choice-target.ts'

describe('weir train --models', () => {
  it('reads names, all, and the two rules', () => {
    expect(modelsOption({ models: 'a, b,c' })).toEqual(['a', 'b', 'c'])
    expect(modelsOption({ models: 'all' })).toBe('all')
    expect(modelsOption({})).toBeUndefined()
    expect(ruleOption({})).toEqual({ kind: 'best-value' })
    expect(ruleOption({ loss: '0.05' })).toEqual({ kind: 'cheapest-within', loss: 0.05 })
    expect(ruleOption({ rule: 'cheapest-within' })).toEqual({ kind: 'cheapest-within', loss: 0.02 })
  })

  it('refuses a rule without models, a loss with the other rule, and unknown rules', () => {
    expect(() => modelsOption({ rule: 'best-value' })).toThrow(/--models with it/)
    expect(() => ruleOption({ rule: 'best-value', loss: '0.1' })).toThrow(/cheapest-within with it/)
    expect(() => ruleOption({ rule: 'fastest' })).toThrow(/one of best-value, cheapest-within/)
  })
})

describe('the target of weir calibrate for a router among many models', () => {
  it('is one of four; dollars and losses are promised at 90% unless said otherwise', () => {
    expect(readChoiceTarget({ costPer1k: '2' }, {})).toEqual({
      kind: 'budget',
      usd_per_1k: 2,
      confidence: 0.9,
    })
    expect(readChoiceTarget({ bestShare: '0.98' }, {})).toEqual({ kind: 'best-share', share: 0.98 })
    expect(readChoiceTarget({ quality: '0.9', confidence: '0.8' }, {})).toMatchObject({
      pgr: 0.9,
      confidence: 0.8,
    })
    expect(readChoiceTarget({ maxLoss: '0.02' }, {})).toMatchObject({ loss: 0.02, confidence: 0.9 })
  })

  it('refuses none, two, and what is about a pair', () => {
    expect(() => readChoiceTarget({}, {})).toThrow(/exactly one of/)
    expect(() => readChoiceTarget({ budget: '1', maxLoss: '0.1' }, {})).toThrow(/exactly one of/)
    const pair = { strongShare: '0.3', unlabelled: [] }
    expect(() => readChoiceTarget({}, pair)).toThrow(/--strong-share/)
  })
})
