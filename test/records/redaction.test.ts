import { expect, test } from 'vitest'
import { createRandom } from '../../core/random.ts'
import { loggedText, redact } from '../../records/redaction.ts'

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

/** Text that makes each pattern begin as often, read as far and fail as late as it can. */
const WORST: readonly string[] = [
  ...['eyJ-', 'eyJ', 'eyJaaaaaaaa.', 'eyJaaaaaaaa.aaaaaaaa-', '-eyJaaaaaaaa', 'a.eyJaaaaaaaa.'],
  ...['-----BEGIN A-----', '-----BEGIN ', '-----', '-----BEGIN A-----a', 'BEGIN A-----'],
  ...['sk-', 'sk-a ', 'sk_', 'xoxb', 'AKIA-', 'Bearer ', 'Bearer  a', 'bearer\t'],
  ...['a@', 'a.', 'a.a@', 'a@a.', 'a-', '+', 'a@a.a-', 'a.b@c.d.e.f.'],
  ...['A1', 'DE89 ', 'DE890', 'A0A0 ', 'DE00 AAAA '],
  ...['1', '1 ', '1-', '(1) ', '(11)', '+1 ', '11 111 ', '+111(1111)', '1.1.', '1.1.1.', '111.'],
]

const cpuMs = (work: () => void): number => {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

test.each(WORST)('takes time in proportion to a text of %j', (piece) => {
  const text = (size: number): string => piece.repeat(size / piece.length)
  redact(text(10_000))
  const small = cpuMs(() => redact(text(250_000)))
  const large = cpuMs(() => redact(text(1_000_000)))
  // four times as long; eight leaves room for a busy machine, and a quadratic pattern takes sixteen
  expect(large).toBeLessThan(8 * small + 100)
  // a pattern that reads 4,096 characters from every fourth is linear too, and took 4.9 s
  expect(large).toBeLessThan(2000)
})

/** What stood here before: too slow on worst cases, and right. */
const BEFORE = /\beyJ[\w-]{8,4096}\.[\w-]{8,4096}\.[\w-]{8,4096}/g

test('finds the same tokens as the pattern that it takes the place of', () => {
  const random = createRandom(5)
  const pieces = [
    ...['eyJ', 'eyJhbGciOiJIUzI1NiJ9', 'eyJzdWIiOiIxMjM0In0', 'c2lnbmF0dXJl', 'abcdefgh', 'x'],
    ...['.', '.', '.', '.', '-', '_', ' ', ' ', 'token=', '"', '\n', 'Ä', 'session-'],
  ]
  for (let i = 0; i < 20_000; i++) {
    const length = 3 + random.int(12)
    const text = Array.from({ length }, () => pieces[random.int(pieces.length)]).join('')
    const marked = text.replace(BEFORE, '[token]')
    expect(redact(text)).toBe(redact(marked))
  }
})

test('a long text is logged as its beginning and its end, and no part of a secret is left at the cut', () => {
  const secret = '4111 1111 1111 1111 ann@example.com '
  for (let shift = 0; shift < secret.length; shift += 5) {
    const text = `${'x'.repeat(shift)} ${secret.repeat(20_000)}`
    const { text: logged, cut } = loggedText(text, 'redacted')
    expect(cut).toBe(true)
    expect(logged).toMatch(/^x* \[number\] \[email\][^…]*\n…\n[^…]*\[email\] $/)
    expect(logged).not.toMatch(/\d|ann|example/)
  }
  const long = `start ${'😀'.repeat(1_000_000)} end`
  const { text: full } = loggedText(long, 'full')
  expect(full.length).toBeLessThan(200_000)
  expect(full).toMatch(/^start 😀.*\n…\n.*😀 end$/)
  expect(loggedText('x'.repeat(200_000), 'full')).toEqual({ text: 'x'.repeat(200_000), cut: false })
})
