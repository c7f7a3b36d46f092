import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { placeOf } from '../../core/hash.ts'

it('placeOf is the first 52 bits of a SHA-256, as it was when sessions were first split', () => {
  for (const [purpose, unit] of [
    ['explore', '7'],
    ['big', 'session\nkey\nä'],
  ] as const) {
    const bytes = createHash('sha256').update(`${purpose}\n${unit}`).digest()
    const bits = bytes.readBigUInt64BE(0) >> 12n
    expect(placeOf(purpose, unit)).toBe(Number(bits) / 2 ** 52)
  }
  expect(placeOf('explore', '7')).not.toBe(placeOf('audit', '7'))
})
