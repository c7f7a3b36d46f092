import { describe, expect, test } from 'vitest'
import { MemberScanner } from '../../../serving/upstreams/passing.ts'

const WANTED = ['error', 'usage', 'object']
const scan = (text: string, size: number): Record<string, string> => {
  const scanner = new MemberScanner(WANTED)
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) scanner.push(bytes.subarray(at, at + size))
  scanner.end()
  return Object.fromEntries(scanner.values)
}

describe('the members of an object are found wherever its bytes are cut:', () => {
  const usage = { a: [1, { usage: 2 }], 'b"': '}],"error":1\\' }
  test.each<[string, string, Record<string, string>]>([
    ['nothing', '{}', {}],
    ['names inside values', '{"x":{"error":1,"y":["usage",{"usage":2}]}}', {}],
    [
      'strings with brackets',
      '{"x":"}\\"],\\\\","object":"li\\u0073t"}',
      { object: '"li\\u0073t"' },
    ],
    ['escaped names', '{"us\\u0061ge":1,"\\"usage":2}', { usage: '1' }],
    ['white space', ' \n{ "error" : null , "x" : [ ] } \n', { error: 'null' }],
    ['nested values', JSON.stringify({ x: 1, usage, z: 'é😀' }), { usage: JSON.stringify(usage) }],
    ['the last of two', '{"usage":1,"usage":{"a":2}}', { usage: '{"a":2}' }],
    ['a byte order mark', '\ufeff{"error":false}', { error: 'false' }],
    ['long names', `{"${'usage'.repeat(40)}":1,"usage":3}`, { usage: '3' }],
  ])('%s', (_, text, expected) => {
    JSON.parse(text.replace('\ufeff', ''))
    for (let size = 1; size <= 9; size++) expect(scan(text, size)).toEqual(expected)
    expect(scan(text, text.length * 4)).toEqual(expected)
  })
})

test.each(['{', '{"a":"', '{"a":[}', '{"a":"\\"}', '[1]', '"a"', ''])(
  '%j is no whole object',
  (text) => {
    expect(() => scan(text, 2)).toThrow(/in the middle|no JSON object/)
  },
)

test('a value is kept up to 64 KiB, and a long answer is read in linear time', () => {
  const item = `${'0.1,'.repeat(4000)}"${'\\n'.repeat(4000)}",`
  const text = `{"usage":"${'x'.repeat(100_000)}","data":[${item.repeat(100)}0],"object":"list"}`
  const before = process.cpuUsage()
  const { usage, object } = scan(text, 16_384)
  const { user } = process.cpuUsage(before)
  expect(usage!.length).toBe(65_536)
  expect(object).toBe('"list"')
  // 2 MB; it takes some 10 ms
  expect(user).toBeLessThan(500_000)
})
