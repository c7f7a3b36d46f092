import { describe, expect, test } from 'vitest'
import { parseJsonBody, parseLargeBody } from '../../core/json-body.ts'

const LONG = 'QUJD'.repeat(50_000)
const large = (text: string) => parseLargeBody(Buffer.from(text))

describe('a large body in which long strings are cut out is parsed as JSON.parse does:', () => {
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
      const parsed = await large(text)
      expect(parsed.value).toEqual(JSON.parse(text))
      // what is sent on says the same
      expect(JSON.parse(parsed.text)).toEqual(JSON.parse(text))
    }
  })

  test('its text keeps the digits of numbers', async () => {
    const text = `{"a":"${LONG}","b":12345678901234567890,"c":1.0,"é":1}`
    expect((await large(text)).text).toBe(text.replace('é', '\\u00e9'))
  })

  test('a field named __proto__ stays a field', async () => {
    const { value } = await large(`{"__proto__":"${LONG}","a":{"__proto__":{"b":"${LONG}"}}}`)
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
  await expect(large(text)).rejects.toThrow('expected JSON')
})

test('bytes that are not UTF-8 are refused, in a long string and beside one', async () => {
  const bad = Buffer.from([0x22, 0xff, 0x22])
  const long = Buffer.from(`"${LONG}`)
  const comma = Buffer.from(',')
  const list = (...parts: Buffer[]) => Buffer.concat([Buffer.from('['), ...parts, Buffer.from(']')])
  await expect(parseLargeBody(list(long, bad.subarray(1)))).rejects.toThrow('expected UTF-8')
  await expect(parseLargeBody(list(long, Buffer.from('"'), comma, bad))).rejects.toThrow('UTF-8')
})
