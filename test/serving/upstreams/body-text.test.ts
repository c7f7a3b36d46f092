import { describe, expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { editJson } from '../../../serving/upstreams/body-text.ts'

const withModel = (text: string, model: string): string | undefined =>
  editJson(text, { model: JSON.stringify(model) })

describe('another model in the text of a body', () => {
  test('leaves the rest to the letter', () => {
    const text =
      '{ "seed": 12345678901234567890, "temperature": 1.0,\n "model" :"weir/best" ,"messages":[{"model":"no"}]}'
    expect(withModel(text, 'gpt "5"')).toBe(
      '{ "seed": 12345678901234567890, "temperature": 1.0,\n "model" :"gpt \\"5\\"" ,"messages":[{"model":"no"}]}',
    )
  })

  test('is what parsing, changing and writing it would give, whatever the body', () => {
    const random = createRandom(3)
    const words = ['model', '"model":', 'a\\', '{"', ']}', 'é\n', '\u0000', '', ':', '"']
    const word = (): string => words[random.int(words.length)]!
    const value = (depth: number): unknown => {
      const kind = random.int(depth > 3 ? 3 : 5)
      if (kind === 0) return word()
      if (kind === 1) return random.int(1000) / 8
      if (kind === 2) return random.int(2) === 0
      const size = random.int(4)
      if (kind === 3) return Array.from({ length: size }, () => value(depth + 1))
      return Object.fromEntries(Array.from({ length: size }, () => [word(), value(depth + 1)]))
    }
    for (let i = 0; i < 2000; i++) {
      const before = value(0)
      const body: Record<string, unknown> = {
        a: before,
        model: word(),
        [`b${i}`]: value(0),
        messages: [{ role: 'user', content: word(), model: word() }],
      }
      const text = JSON.stringify(body, null, random.int(3))
      const model = word()
      expect(JSON.parse(withModel(text, model)!)).toEqual({ ...body, model })
    }
  })

  test.each([
    '{"model":"a","model":"b"}',
    '{"mod\\u0065l":"a","model":"b"}',
    '{"model":"a","messages":[1],"messages":[2]}',
    '{"model":"a","messages":[{"content":"one","c\\u006fntent":"two"}]}',
  ])('is not attempted where it is not sure: %s', (text) => {
    expect(withModel(text, 'x')).toBeUndefined()
  })
})

describe('fields in the text of a body', () => {
  test('are added behind the others', () => {
    expect(editJson('{"a":{"b":1} }\n', { c: '{"d":true}' })).toBe(
      '{"a":{"b":1} ,"c":{"d":true}}\n',
    )
    expect(editJson('{ }', { c: '1', d: null })).toBe('{ "c":1}')
  })

  test.each([
    ['{"a":1,"b":2.50,"c":3}', ['a'], '{"b":2.50,"c":3}'],
    ['{"a":1,"b":2.50,"c":3}', ['b'], '{"a":1,"c":3}'],
    ['{"a":1 , "b":2.50, "c":3 }', ['c', 'b'], '{"a":1 }'],
    ['{"a":1,"b":2.50,"c":3}', ['a', 'b'], '{"c":3}'],
    ['{"a":1,"b":[{"a":2}]}', ['a', 'b', 'none'], '{}'],
  ])('are taken out of %s: %j', (text, names, left) => {
    expect(editJson(text, Object.fromEntries(names.map((name) => [name, null])))).toBe(left)
  })

  test('are made from what they were', () => {
    const text = '{"messages" : [ {"seed":12345678901234567890} ] , "x":null }'
    expect(editJson(text, { messages: (value) => `[0,${value?.slice(1)}` })).toBe(
      '{"messages" : [0, {"seed":12345678901234567890} ] , "x":null }',
    )
  })
})
