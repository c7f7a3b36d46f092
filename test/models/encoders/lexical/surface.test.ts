import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { createRandom, type Random } from '../../../../core/random.ts'
import {
  SURFACE_COUNT,
  SURFACE_FEATURES,
  surfaceFeatures,
} from '../../../../models/encoders/lexical/surface.ts'
import { slowSurfaceFeatures } from './slow-surface.ts'

const of = (text: string): Record<string, number> => {
  const out = new Float64Array(SURFACE_COUNT)
  surfaceFeatures(text, out)
  return Object.fromEntries(SURFACE_FEATURES.map((name, i) => [name, out[i]!]))
}

/** Each character class, borders of ASCII and beyond it, and runs of them. */
function randomText(random: Random): string {
  const alphabets = [
    'abcxyz',
    'AZ09',
    ' \t\r\v\f\n',
    '.?!,;: ',
    '__``--*()',
    '\0\x7f\x80\xa0é日\u2028🙂"\'\\',
  ]
  const length = random.int(random.int(10) === 0 ? 40_000 : 300)
  let text = ''
  while (text.length < length) {
    const letters = alphabets[random.int(alphabets.length)]!
    const run = 1 + random.int(12)
    for (let i = 0; i < run; i++) text += letters[random.int(letters.length)]
    if (random.int(40) === 0) text += String.fromCharCode(random.int(65_536))
  }
  return text
}

function expectEqual(text: string): void {
  const [quick, slow] = [new Float64Array(SURFACE_COUNT), new Float64Array(SURFACE_COUNT)]
  surfaceFeatures(text, quick)
  slowSurfaceFeatures(text, slow)
  if (quick.some((value, i) => !Object.is(value, slow[i]))) {
    expect([JSON.stringify(text.slice(0, 300)), ...quick]).toEqual(['', ...slow])
  }
}

describe('the quick features', () => {
  it('equal the plain ones to the last bit on random text', () => {
    const random = createRandom(9)
    for (let i = 0; i < 1_000; i++) expectEqual(randomText(random))
  })

  it('equal them on each character alone, and on each pair of ASCII characters', () => {
    for (let code = 0; code < 65_536; code += code < 1_000 ? 1 : 13)
      expectEqual(String.fromCharCode(code))
    for (let a = 0; a < 128; a++) {
      for (let b = 0; b < 128; b++) expectEqual(String.fromCharCode(a, b))
    }
  })

  it('equal them on the sample’s prompts', async () => {
    const file = resolve(import.meta.dirname, '../../../../data/sample/outcomes.jsonl.gz')
    const lines = gunzipSync(await readFile(file))
      .toString()
      .trim()
      .split('\n')
    for (const line of lines) expectEqual((JSON.parse(line) as { prompt: string }).prompt)
    expect(lines.length).toBeGreaterThan(1_000)
  })
})

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
