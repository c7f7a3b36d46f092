import { describe, expect, it } from 'vitest'
import type { ChoiceRule } from '../../../../models/bundle/choice-rule.ts'
import type { Candidate, Manifest } from '../../../../models/bundle/manifest.ts'
import { assertManifest, bundleVersion } from '../../../../models/bundle/read.ts'
import { type DecisionInput, decide } from '../../../../models/decision/decide.ts'
import { estimateCost } from '../../../../models/prices.ts'
import { sampleDraft } from '../../sample-bundle.ts'

const CANDIDATES: Candidate[] = [
  { model: 'big', role: 'strong', price: { input: 10, output: 30 }, output_tokens: 200 },
  { model: 'small', role: 'weak', price: { input: 1, output: 1 }, output_tokens: 100 },
  {
    model: 'mid',
    role: 'other',
    price: { input: 2, output: 5 },
    output_length: { intercept: 3, slope: 0.5 },
  },
]

function manifest(rule: ChoiceRule | undefined, candidates = CANDIDATES): Manifest {
  const { manifest: draft } = sampleDraft({ link: 'success' })
  const whole = {
    ...draft,
    candidates,
    ...(rule && { choice: { rule, source: 'default' as const } }),
  }
  return { ...whole, format: 1, created: '', version: 'v', files: {} } as Manifest
}

function decision(rule: ChoiceRule | undefined, more: Partial<DecisionInput> = {}) {
  return decide({
    manifest: manifest(rule),
    winRate: 0.7,
    quality: Float64Array.of(0.9, 0.5, 0.8),
    request: { prompt: 'why' },
    promptCharacters: 400,
    truncated: false,
    hash: '0'.repeat(64),
    id: 'd',
    now: 0,
    elapsedMs: 0,
    ...more,
  })
}

const free = { kind: 'best-value', lambda: 0 } as const
const dear = { kind: 'best-value', lambda: 100 } as const

describe('a decision among many models', () => {
  it('follows the price of quality: the best where it is free, a cheaper one where it is dear', () => {
    expect(decision(free)).toMatchObject({ model: 'big', reason: 'best_value' })
    expect(decision(dear)).toMatchObject({ model: 'mid', reason: 'best_value' })
    expect(decision({ kind: 'best-value', lambda: 1e6 }).model).toBe('small')
    expect(decision({ kind: 'cheapest-within', loss: 0.1 })).toMatchObject({
      model: 'mid',
      reason: 'cheapest_within',
    })
  })

  it('lists every candidate in fallback order, with its quality and its expected dollars', () => {
    const { candidates } = decision(dear)
    expect(candidates.map(({ model, score, reason }) => [model, score, reason])).toEqual([
      ['mid', 0.8, 'chosen'],
      ['small', 0.5, 'next'],
      ['big', 0.9, 'next'],
    ])
    const [mid, small, big] = candidates.map(({ est_cost_usd: cost }) => cost!)
    expect(big).toBe(estimateCost({ input: 10, output: 30 }, 400, 200))
    expect(small).toBe(estimateCost({ input: 1, output: 1 }, 400, 100))
    expect(mid).toBeCloseTo((100 * 2 + Math.exp(3) * Math.sqrt(401) * 5) / 1e6, 12)
  })

  it('respects the allow-list, also where it leaves one model', () => {
    const allowed = decision(dear, { request: { prompt: 'why', models: ['big', 'small'] } })
    expect(allowed).toMatchObject({ model: 'small', reason: 'best_value' })
    expect(allowed.candidates.at(-1)).toMatchObject({ model: 'mid', eligible: false })
    const only = decision(dear, { request: { prompt: 'why', models: ['big'] } })
    expect(only).toMatchObject({ model: 'big', reason: 'only_allowed' })
    expect(() => decision(dear, { request: { prompt: 'why', models: ['none'] } })).toThrow(
      /none of the allowed models/,
    )
  })

  it('keeps win rate and threshold about the pair: at the threshold strong and weak are worth the same', () => {
    const { win_rate: winRate, threshold, candidates } = decision(dear)
    const cost = new Map(candidates.map(({ model, est_cost_usd: usd }) => [model, usd!]))
    expect(winRate).toBe(0.7)
    expect(threshold).toBeCloseTo((1 + 100 * (cost.get('big')! - cost.get('small')!)) / 2, 12)
  })

  it('asked with a threshold decides between strong and weak, as ever', () => {
    const asked = decision(dear, { request: { prompt: 'why', threshold: 0.6 } })
    const pair = decision(undefined, { request: { prompt: 'why', threshold: 0.6 } })
    expect(asked).toEqual(pair)
    expect(asked.reason).toBe('win_rate_reached')
  })

  it('without qualities falls back to the pair, and unsure to the strong model', () => {
    const unknown = { winRate: undefined, quality: undefined, fallbackReason: 'deadline' }
    expect(decision(dear, unknown)).toMatchObject({ model: 'big', reason: 'fallback' })
  })

  it('explored gives the second best', () => {
    const explored = decision(dear, { explored: true })
    expect(explored).toMatchObject({ model: 'small', reason: 'explored' })
  })
})

describe('the manifest of a bundle with a rule among many', () => {
  const whole = (candidates: Candidate[], link: 'pair' | 'success' = 'success'): unknown => {
    const { manifest: draft } = sampleDraft({ link })
    const files = { 'router.onnx': 'x', 'head.bin': 'y' }
    const body = {
      ...draft,
      candidates: link === 'pair' ? candidates.slice(0, 2) : candidates,
      choice: { rule: dear, source: 'default' },
      format: 1,
      created: '',
      files,
    } as unknown as Manifest
    return { ...body, version: bundleVersion(body) }
  }

  it('is accepted with a price of each model, or what its requests cost', () => {
    expect(() => assertManifest(whole(CANDIDATES), 'b')).not.toThrow()
    const { price: _, ...mid } = CANDIDATES[2]!
    const logged = [...CANDIDATES.slice(0, 2), { ...mid, cost_usd: 0.01 }]
    expect(() => assertManifest(whole(logged), 'b')).not.toThrow()
  })

  it('is refused where a model has no price, or the head knows one pair only', () => {
    const { price: _, ...mid } = CANDIDATES[2]!
    expect(() => assertManifest(whole([...CANDIDATES.slice(0, 2), mid]), 'b')).toThrow(
      /mid has none/,
    )
    expect(() => assertManifest(whole(CANDIDATES, 'pair'), 'b')).toThrow(/quality a model/)
  })
})
