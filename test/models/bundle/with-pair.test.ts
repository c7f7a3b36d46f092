import { describe, expect, it } from 'vitest'
import type { Manifest } from '../../../models/bundle/manifest.ts'
import type { Bundle } from '../../../models/bundle/read.ts'
import { withPair } from '../../../models/bundle/with-pair.ts'
import { scoreLinear } from '../../../models/families/linear-head.ts'

const head = {
  link: 'bradley-terry',
  outputs: 3,
  dimension: 1,
  weights: Float32Array.of(1, 2, 4),
  bias: new Float32Array(3),
  strong: 0,
  weak: 1,
} as const
const manifest = {
  name: 'trio',
  candidates: [
    { model: 'a', role: 'strong' },
    { model: 'b', role: 'weak' },
    { model: 'c', role: 'other' },
  ],
  head: { link: 'bradley-terry', outputs: 3, dimension: 1 },
  calibration: { method: 'platt', slope: 2, intercept: 1 },
  threshold: { value: 0.83, source: 'calibrated' },
} as unknown as Manifest
const bundle: Bundle = {
  path: '/trio',
  manifest,
  head: async () => head,
} as unknown as Bundle

describe('withPair', () => {
  it('asks the same head about another two models', async () => {
    const other = withPair(bundle, { strong: 'c', weak: 'a' })
    const linear = (await other.head())!
    const one = { kind: 'dense', rows: 1, dimension: 1, values: Float32Array.of(1) } as const
    expect(scoreLinear(linear, one).winRate[0]).toBeCloseTo(1 / (1 + Math.exp(-3)), 12)
    expect(other.manifest.candidates.map(({ role }) => role)).toEqual(['weak', 'other', 'strong'])
  })

  it('drops what was calibrated for the trained pair', () => {
    const other = withPair(bundle, { strong: 'c', weak: 'a' })
    expect(other.manifest.calibration).toEqual({ method: 'identity' })
    expect(other.manifest.threshold).toEqual({ value: 0.5, source: 'default' })
  })

  it('leaves the bundle as it is for its own pair', () => {
    expect(withPair(bundle, { strong: 'a', weak: 'b' })).toBe(bundle)
  })

  it('refuses models that are not there, one model twice, and heads of one pair', () => {
    const code = (make: () => unknown): unknown => {
      try {
        return make()
      } catch (error) {
        return (error as { code: string }).code
      }
    }
    expect(code(() => withPair(bundle, { strong: 'x', weak: 'a' }))).toBe('model_unknown')
    expect(code(() => withPair(bundle, { strong: 'a', weak: 'a' }))).toBe('models_equal')
    const fixed = {
      ...bundle,
      manifest: { ...manifest, head: { ...manifest.head!, link: 'pair' } },
    }
    expect(code(() => withPair(fixed as Bundle, { strong: 'c', weak: 'a' }))).toBe('pair_fixed')
  })
})
