import { describe, expect, it } from 'vitest'
import { eachGram } from '../../../../models/encoders/lexical/words.ts'

const grams = (text: string): string[] => {
  const found: string[] = []
  eachGram(text, (_, start, end) => found.push(text.slice(start, end)))
  return found
}
const hashes = (text: string): number[] => {
  const found: number[] = []
  eachGram(text, (hash) => found.push(hash))
  return found
}

describe('eachGram', () => {
  it('gives each word and each pair of neighbours', () => {
    expect(grams('the cat sat')).toEqual(['the', 'cat', 'the cat', 'sat', 'cat sat'])
  })

  it('takes each ASCII punctuation mark as a word', () => {
    expect(grams('x = y')).toEqual(['x', '=', 'x =', 'y', '= y'])
    expect(grams('ab_c,')).toEqual(['ab_c', ',', 'ab_c,'])
  })

  it('hashes the same words alike wherever they stand', () => {
    const [cat] = hashes('cat')
    expect(hashes('a cat')[1]).toBe(cat)
    expect(hashes('\n—cat!')[0]).toBe(cat)
  })

  it('tells a pair from its reverse and from its words run together', () => {
    expect(hashes('one two')[2]).not.toBe(hashes('two one')[2])
    expect(hashes('one two')[2]).not.toBe(hashes('onetwo')[0])
  })

  it('takes CJK characters one by one and accented letters as letters', () => {
    expect(grams('東京')).toEqual(['東', '京', '東京'])
    expect(grams('café')).toEqual(['café'])
  })

  it('finds nothing in an empty text or in blanks', () => {
    expect(grams('')).toEqual([])
    expect(grams(' \n\t—')).toEqual([])
  })

  it('spreads words over buckets: 20,000 words meet about as often as chance says', () => {
    const buckets = new Set<number>()
    for (let i = 0; i < 20_000; i++) buckets.add(hashes(`word${i}`)[0]! & 0x3ffff)
    const expected = 2 ** 18 * (1 - Math.exp(-20_000 / 2 ** 18))
    expect(Math.abs(buckets.size - expected)).toBeLessThan(150)
  })
})
