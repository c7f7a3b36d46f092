import { describe, expect, test } from 'vitest'
import { parseJsonBody } from '../../../core/json/body.ts'
import { jsonPieces, LargeJson, LargeJsonReader, outlineOf } from '../../../core/json/large.ts'

const LONG = 'QUJD'.repeat(50_000)
const ofBytes = (bytes: Buffer) => new LargeJson(bytes, outlineOf(bytes))
const large = (text: string) => ofBytes(Buffer.from(text))
const written = (json: LargeJson) => Buffer.concat(json.pieces()).toString()

describe('a large body, whose long strings stay bytes, says what JSON.parse says:', () => {
  const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${LONG}` } }
  test.each<[string, unknown]>([
    [
      'images',
      { model: 'm', messages: [{ role: 'user', content: [image, { text: 'hi' }, image] }] },
    ],
    ['lists, and strings at the top', [LONG, [LONG, 1], null, true, { a: LONG }]],
    ['nothing else', LONG],
    ['letters beyond ASCII', { 'é😀"\\': `日本 ${LONG}`, b: LONG, c: '\ud800 é\n', d: `${LONG}é` }],
    ['long strings with escapes', { a: `${LONG}\n`, b: `${LONG}\\`, c: `\\${LONG}\\\\`, d: LONG }],
    ['long names', { [LONG]: LONG, b: { [LONG]: 1 } }],
    ['numbers', { a: LONG, b: [1.5, -0, 1e300] }],
  ])('%s', async (_, value) => {
    for (const text of [JSON.stringify(value), JSON.stringify(value, undefined, 2)]) {
      const parsed = large(text)
      expect(await parsed.value()).toEqual(JSON.parse(text))
      // what is sent on is the same
      expect(written(parsed) === text).toBe(true)
      expect(parsed.size).toBe(Buffer.byteLength(text))
    }
  })

  test('its text keeps the digits of numbers', () => {
    const text = `{"a":"${LONG}","b":12345678901234567890,"c":1.0,"é":1}`
    expect(written(large(text))).toBe(text)
  })

  test('a field named __proto__ stays a field', async () => {
    const value = await large(`{"__proto__":"${LONG}","a":{"__proto__":{"b":"${LONG}"}}}`).value()
    expect(Object.keys(value as object)).toEqual(['__proto__', 'a'])
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
  })
})

test.each([
  ['a string with a line end', `{"a":"${LONG}\n"}`],
  ['a string with a control character', `{"a":"${LONG}\u0001${LONG}"}`],
  ['a string without its end', `{"a":"${LONG}`],
  ['a string that ends in an escape', `{"a":"${LONG}\\"}`],
  ['two strings without a comma', `["${LONG}" "${LONG}"]`],
  ['text behind it', `{"a":"${LONG}"} x`],
])('%s is refused, large or not', async (_, text) => {
  expect(() => parseJsonBody(text)).toThrow('expected JSON')
  await expect(async () => large(text).value()).rejects.toThrow('expected JSON')
})

test('bytes that are not UTF-8 are refused, in a long string and beside one', () => {
  const bad = Buffer.from([0x22, 0xff, 0x22])
  const long = Buffer.from(`"${LONG}`)
  const comma = Buffer.from(',')
  const list = (...parts: Buffer[]) => Buffer.concat([Buffer.from('['), ...parts, Buffer.from(']')])
  expect(() => ofBytes(list(long, bad.subarray(1)))).toThrow('expected UTF-8')
  expect(() => ofBytes(list(long, Buffer.from('"'), comma, bad))).toThrow('UTF-8')
})

test('large bodies are read in a thread, one after the other, and refusals are the same', async () => {
  const reader = new LargeJsonReader()
  try {
    const texts = [`{"a":"${LONG}"}`, `{"a":"é${LONG}"}`, JSON.stringify({ a: LONG, b: 'x' })]
    const read = await Promise.all(texts.map((text) => reader.read(Buffer.from(text))))
    expect(await Promise.all(read.map((json) => json.value()))).toEqual(
      texts.map((text) => JSON.parse(text)),
    )
    expect(read.map(written)).toEqual(texts)
    const deep = `${'['.repeat(100)}"${LONG}"${']'.repeat(100)}`
    await expect(reader.read(Buffer.from(deep))).rejects.toMatchObject({ code: 'too_deep' })
    await expect(reader.read(Buffer.from(`"${LONG}`))).rejects.toMatchObject({ status: 400 })
  } finally {
    await reader.close()
  }
})

test.each([
  ['digits', `{"a":${'1'.repeat(10_001)}}`],
  ['blanks', `{"a":${' '.repeat(10_001)}1}`],
  ['blanks at the end', `{"a":1}${'\n'.repeat(10_001)}`],
])('more than 10,000 %s in a row are refused, large or not', async (_, text) => {
  const expected = 'numbers and blanks of at most 10000 characters'
  expect(() => parseJsonBody(text)).toThrow(expected)
  expect(() => large(`{"a":"${LONG}","b":${text}}`)).toThrow(expected)
  const allowed = text.replace(/1{9,}|[ \n]{9,}/, (run) => run.slice(10))
  expect(parseJsonBody(allowed)).toEqual({ a: expect.anything() })
})

test.each<[string, unknown]>([
  ['a long string', { a: `${'x"\\é\n'.repeat(300_000)}` }],
  ['surrogate pairs at every place', [`a${'😀'.repeat(500_000)}`, '😀'.repeat(500_000), '\ud800']],
  ['many strings', { a: Array.from({ length: 1000 }, (_, i) => `${i}`.repeat(500)), b: [1, null] }],
  ['many numbers', [Array.from({ length: 100_000 }, (_, i) => i), 'x', [[]], {}]],
  [
    'many and long names',
    {
      __proto__: 1,
      ...Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`k${i}`, i % 7 ? {} : ''])),
      ['x'.repeat(400_000)]: undefined,
      ['y'.repeat(400_000)]: [null, undefined, true],
    },
  ],
  ['fields that are undefined', { a: 'x'.repeat(1_000_000), b: undefined, c: { d: undefined } }],
])('a large value with %s is written in pieces', async (_, value) => {
  let turns = 0
  const counting = setInterval(() => turns++, 0)
  const pieces = await jsonPieces(value)
  clearInterval(counting)
  if (typeof pieces === 'string') throw new Error('it was written at once')
  expect(turns).toBeGreaterThan(0)
  expect(JSON.parse(Buffer.concat(pieces).toString())).toEqual(JSON.parse(JSON.stringify(value)))
})

test('a short value is written at once', async () => {
  expect(await jsonPieces({ a: ['b'.repeat(5000), 1] })).toBe(
    JSON.stringify({ a: ['b'.repeat(5000), 1] }),
  )
})
