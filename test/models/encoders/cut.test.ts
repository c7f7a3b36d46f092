import { describe, expect, it } from 'vitest'
import { cutText, cutTokens } from '../../../models/encoders/cut.ts'

describe('a cut', () => {
  it('leaves what fits as it is', () => {
    expect(cutTokens([1, 2, 3], 3)).toEqual({ kept: [1, 2, 3], truncated: false })
    expect(cutText('abc', 3)).toEqual({ kept: 'abc', truncated: false })
  })

  it('keeps the head and the tail of tokens', () => {
    expect(cutTokens([1, 2, 3, 4, 5, 6, 7], 5)).toEqual({ kept: [1, 2, 3, 6, 7], truncated: true })
    expect(cutTokens([1, 2, 3], 1)).toEqual({ kept: [1], truncated: true })
  })

  it('keeps the head and the tail of text, with a seam, within the limit', () => {
    const { kept, truncated } = cutText(`${'a'.repeat(50)}${'b'.repeat(50)}`, 25)
    expect(truncated).toBe(true)
    expect(kept).toBe(`${'a'.repeat(10)}\n...\n${'b'.repeat(10)}`)
  })

  it('never splits a surrogate pair', () => {
    for (let limit = 8; limit < 40; limit++) {
      const { kept } = cutText('🙂'.repeat(50), limit)
      expect(kept).not.toMatch(/\p{Surrogate}/u)
      expect(kept.length).toBeLessThanOrEqual(limit)
    }
  })
})
