import { describe, expect, it } from 'vitest'
import {
  SURFACE_COUNT,
  SURFACE_FEATURES,
  surfaceFeatures,
} from '../../../models/lexical/surface.ts'

const of = (text: string): Record<string, number> => {
  const out = new Float64Array(SURFACE_COUNT)
  surfaceFeatures(text, out)
  return Object.fromEntries(SURFACE_FEATURES.map((name, i) => [name, out[i]!]))
}

describe('surfaceFeatures', () => {
  it('measures length, words and lines on a log scale', () => {
    const features = of('two words\nand a line')
    expect(features['length (characters)']).toBeCloseTo(Math.log(21))
    expect(features.words).toBeCloseTo(Math.log(6))
    expect(features.lines).toBeCloseTo(Math.log(2))
    expect(features['first line length']).toBeCloseTo(Math.log1p(9))
  })

  it('counts numbers, not digits, and shares digits', () => {
    const features = of('12 + 345 = 357')
    expect(features.numbers).toBeCloseTo(Math.log1p(3))
    expect(features['share of digits']).toBeCloseTo(8 / 15)
    expect(features['share of maths marks']).toBeCloseTo(2 / 15)
  })

  it('sees lists and answer options, and not a sentence that starts with a word', () => {
    const options = of('Which?\nA. one\nB. two\n(c) three\n- four\n12) five')
    expect(options['list or choice marks']).toBeCloseTo(Math.log1p(5))
    expect(of('A cat sat.\nIt slept.')['list or choice marks']).toBe(0)
  })

  it('sees code by its marks and fences', () => {
    const code = of('```js\nfoo(bar[0]);\n```')
    expect(code['code fence']).toBe(1)
    expect(code['share of code marks']).toBeGreaterThan(0.4)
    expect(of('plain words')['code fence']).toBe(0)
  })

  it('is finite for an empty prompt', () => {
    expect(Object.values(of('')).every(Number.isFinite)).toBe(true)
  })
})
