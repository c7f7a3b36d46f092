import { expect, test } from 'vitest'
import { createRandom } from '../../core/random.ts'
import { plainAscii, plainText } from '../../data/splits/plain-text.ts'

const PIECES = [
  ...[
    'A. ',
    'B) ',
    '(c) ',
    '(D)',
    ' E.\t',
    'answer:',
    'Answer',
    '_answer:',
    'x',
    'Why is 7',
    ' ',
    '\n',
  ],
  ...['\r\n', '\t', '!?', '(', ')', 'Z', '\n\n', 'é'],
]

test('the fast scan of ASCII text says what the plain definition says', () => {
  const random = createRandom(5)
  const out = new Uint8Array(64)
  let scanned = 0
  for (let i = 0; i < 20_000; i++) {
    let text = ''
    for (let n = random.int(14); n >= 0; n--) text += PIECES[random.int(PIECES.length)]!
    const length = 1 + random.int(40)
    const bytes = Buffer.from(`..${text}..`)
    const made = plainAscii(bytes, 2, bytes.length - 2, out, length)
    if (made < 0) continue
    scanned++
    expect([text, Buffer.from(out.subarray(0, made)).toString()]).toEqual([
      text,
      plainText(text, length),
    ])
  }
  expect(scanned).toBeGreaterThan(5_000)
})
