import { expect, test } from 'vitest'
import { redact } from '../../records/redaction.ts'

test.each([
  ['mail ann.b+c@example.co.uk now', 'mail [email] now'],
  ['card 4111-1111-1111-1111.', 'card [number].'],
  ['call +49 30 1234 5678', 'call [phone]'],
  ['call (555) 123-4567 or 555-123-4567', 'call [phone] or [phone]'],
  ['iban DE89 3704 0044 0532 0130 00', 'iban [account]'],
  ['host 192.168.0.1:80', 'host [address]:80'],
  ['key sk-proj-abcdefghijklmnop1234', 'key [key]'],
  ['Authorization: Bearer abc.def-123456', 'Authorization: Bearer [token]'],
  ['-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----', '[key]'],
])('takes what names a person or opens a door out of %j', (text, expected) => {
  expect(redact(text)).toBe(expected)
})

test('leaves ordinary prompts alone', () => {
  const text = 'In 2024, compute 3.14159 * 12345 and list items 1-10; see section 4.2.1 of a@b.'
  expect(redact(text)).toBe(text)
})

test('takes time in proportion to the text, whatever the text', () => {
  for (const piece of ['1', 'a@', '1 ', 'a.', '-----BEGIN A-----', 'eyJ', 'A1', '(1) ', '1.1.']) {
    const started = performance.now()
    redact(piece.repeat(200_000 / piece.length))
    expect(performance.now() - started).toBeLessThan(2000)
  }
})
