import { BODY_LIMIT } from '../../../core/json/body.ts'

/** `head`, as often `piece` as fits into a body, `tail`. */
const filled = (head: string, piece: (i: number) => string, tail: string): string => {
  const parts: string[] = []
  let length = head.length + tail.length
  for (let i = 0; ; i++) {
    const next = piece(i)
    length += next.length + 1
    if (length > BODY_LIMIT) break
    parts.push(next)
  }
  return `${head}${parts.join(',')}${tail}`
}

/** Bodies of nearly `BODY_LIMIT` bytes that `POST /route` refuses, each the worst for another way of reading it. */
export const HOSTILE_BODIES: Readonly<Record<string, () => string>> = {
  'numbers for messages': () => filled('{"messages":[', () => '0', ']}'),
  'messages with one wrong at the end': () =>
    filled('{"messages":[', () => '{"role":"u","content":"x"}', ',{"role":1}]}'),
  'parts with one wrong at the end': () =>
    filled('{"messages":[{"role":"u","content":[', () => '{"type":""}', ',{}]}]}'),
  'lists in lists': () => filled('{"tools":[', () => '[]', ']}'),
  'metadata keys': () => filled('{"prompt":"x","metadata":{', (i) => `"k${i}":0`, '}}'),
  'unknown keys': () => filled('{', (i) => `"k${i}":0`, '}'),
  'one key again and again': () => filled('{', () => '"prompt":"x"', '}'),
  'short strings': () => filled('{"models":[', () => '""', ']}'),
  'unicode escapes': () => `{"prompt":"${'\\u0041'.repeat(1_390_000)}"}`,
  backslashes: () => `{"prompt":"${'\\\\'.repeat(4_190_000)}"}`,
  quotes: () => `{"prompt":"${'\\"'.repeat(4_190_000)}"}`,
  'one long number': () => `{"threshold":${'1'.repeat(8_300_000)}}`,
  'unknown keys, as many as may be': () =>
    `{"prompt":"${'x'.repeat(8_000_000 - 900_000)}",${Array.from({ length: 88_000 }, (_, i) => `"${i}":0`).join()}}`,
  'strings in a list, as many as may be': () =>
    `{"prompt":"${'x'.repeat(8_000_000 - 700_000)}","colours":[${Array.from({ length: 79_000 }, (_, i) => `"${i}"`).join()}]}`,
  'numbers in a list, as many as may be': () =>
    `{"prompt":"${'x'.repeat(8_000_000 - 1_000_000)}","colours":[${'0,'.repeat(399_000)}0]}`,
  'deep nesting': () => `{"prompt":${'['.repeat(8_300_000)}`,
  'a long session id': () => `{"prompt":"x","session_id":"${'s'.repeat(8_300_000)}"}`,
  'one long string in metadata': () => `{"prompt":"x","metadata":{"a":"${'s'.repeat(8_300_000)}"}}`,
  'a long name of a tool': () => `{"prompt":"x","tools":[{"name":"${'t'.repeat(8_300_000)}"}]}`,
  'a long role': () => `{"messages":[{"role":"${'r'.repeat(8_300_000)}","content":"x"}]}`,
}
