import { describe, expect, test } from 'vitest'
import { compilePattern } from '../../../core/pattern.ts'
import type { Said } from '../../../serving/strategies/chat-answer.ts'
import { geometricMean, leastProbability } from '../../../serving/strategies/checks.ts'
import { lastTurns } from '../../../serving/strategies/judge.ts'
import { answerKey, normalText, tally } from '../../../serving/strategies/normal-answer.ts'

const said = (text: string, calls: Said['calls'] = []): Said => ({
  text,
  calls,
  finishReason: 'stop',
  logprobs: undefined,
})

describe('answers that say the same', () => {
  const alike: [string, string][] = [
    ['42', ' 42. '],
    ['42', '42.0'],
    ['1,000', '1000'],
    ['The answer: YES!', 'the answer yes'],
    ['−5', '-5'],
    ['ＡＢＣ', 'abc'],
    ['Straße', 'straße'],
    ['(a) b', 'A, b'],
  ]
  for (const [a, b] of alike) {
    test(`${a} and ${b}`, () => expect(normalText(a)).toBe(normalText(b)))
  }
  const apart: [string, string][] = [
    ['5', '-5'],
    ['3.5', '35'],
    ['1,000', '1,0'],
    ['10', '1 0'],
    ['<', '>'],
    ['yes', 'no'],
    ['12345678901234567890', '12345678901234567891'],
  ]
  for (const [a, b] of apart) {
    test(`but not ${a} and ${b}`, () => expect(normalText(a)).not.toBe(normalText(b)))
  }

  test('an answer without what the pattern captures has no vote', () => {
    const pattern = compilePattern('Answer: *([A-D])')
    expect(answerKey(said('I think.\nAnswer: B'), pattern)).toBe('b')
    expect(answerKey(said('B'), pattern)).toBeUndefined()
    expect(answerKey(said('  '), undefined)).toBeUndefined()
  })
})

describe('votes', () => {
  test('the largest group wins, ties go to the one that began first', () => {
    expect(tally(['a', 'b', undefined, 'b'])).toEqual({ winner: 1, votes: 2 })
    expect(tally(['a', 'b', 'b', 'a'])).toEqual({ winner: 0, votes: 2 })
    expect(tally([undefined])).toEqual({ winner: -1, votes: 0 })
  })
})

describe('confidence of token log-probabilities', () => {
  test('is the product of the probabilities to the power 1/n, or the least of them', () => {
    const probabilities = [0.9, 0.5, 0.99]
    const logprobs = probabilities.map(Math.log)
    expect(geometricMean(logprobs)).toBeCloseTo((0.9 * 0.5 * 0.99) ** (1 / 3), 12)
    expect(leastProbability(logprobs)).toBeCloseTo(0.5, 12)
    expect(geometricMean([-9999, 0])).toBe(0)
    expect(geometricMean([1e-9])).toBe(1)
  })
})

test('the end of a conversation is what is quoted of a long one', () => {
  const turns = [
    { role: 'user', content: 'aaaa' },
    { role: 'assistant', content: null, tool_calls: [{ id: 1 }] },
    { role: 'user', content: [{ type: 'text', text: 'bb' }, { type: 'image_url' }] },
  ]
  expect(lastTurns(turns, 1000)).toEqual([
    { role: 'user', text: 'aaaa' },
    { role: 'assistant', text: '[{"id":1}]' },
    { role: 'user', text: 'bb\n[image_url]' },
  ])
  expect(lastTurns(turns, 5)).toEqual([{ role: 'user', text: '_url]' }])
})
