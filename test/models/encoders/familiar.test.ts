import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { framed, textOf } from '../../../models/encoders/context.ts'
import type { EncoderArtifact } from '../../../models/encoders/encoder.ts'
import {
  createFamiliar,
  FAMILIAR_FILE,
  type Familiarity,
} from '../../../models/encoders/familiar.ts'
import { loadEncoder } from '../../../models/encoders/registry.ts'
import { describeEncoderContract } from '../../../testing/encoder-contract.ts'
import { familiarState, fitFamiliar } from '../../../training/fit-familiar.ts'
import { fitLexical } from '../../../training/lexical/fit.ts'

const WHO = ['the old teacher', 'a young doctor', 'my neighbour', 'the new engineer', 'our guest']
const DOES = [
  'asks for the price of',
  'wants to know about',
  'explains the meaning of',
  'reads about',
]
const WHAT = [
  'a small house',
  'the first law of motion',
  'an early train',
  'the long winter',
  'red wine',
]
const WHEN = ['in the morning', 'before the meeting', 'at the end of the year', 'on a quiet day']

/** Sentences of familiar phrases, in ever new combinations. */
function prose(sentences: number, seed: number): string {
  const random = createRandom(seed)
  const pick = (of: readonly string[]): string => of[random.int(of.length)]!
  return Array.from(
    { length: sentences },
    () => `${pick(WHO)} ${pick(DOES)} ${pick(WHAT)} ${pick(WHEN)}.`,
  ).join(' ')
}

/** The same words in an order that no prompt has. */
function jumbled(words: number, seed: number): string {
  const random = createRandom(seed)
  const all = [...new Set([WHO, DOES, WHAT, WHEN].flat().join(' ').split(' '))]
  return Array.from({ length: words }, () => all[random.int(all.length)]!).join(' ')
}

const TRAIN = Array.from({ length: 400 }, (_, row) => prose(2 + (row % 4), row))
let judge: (text: string) => Familiarity
let folder: string
let plain: EncoderArtifact
let fitted: EncoderArtifact
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-familiar-'))
  judge = createFamiliar(familiarState(TRAIN))
  plain = await fitLexical({ prompts: TRAIN })
  fitted = fitFamiliar(plain, TRAIN)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

// few prompts leave nothing out, as the contract wants it
describeEncoderContract('familiar over lexical', async () => {
  const few = ['What is the capital of France?', 'Write a Python function.', 'Prove that it is so.']
  return fitFamiliar(await fitLexical({ prompts: [...few, ...few] }), few).encoder
})

describe('what is read of a text', () => {
  it('is all of it where it is worded like the training prompts', () => {
    const read = Array.from({ length: 100 }, (_, i) => prose(3, 10_000 + i))
    expect(read.filter((text) => judge(text).text !== text).length).toBeLessThan(8)
  })

  it.each([
    ['after', (text: string, odd: string) => `${text}\n\n${odd}`],
    ['before', (text: string, odd: string) => `${odd}\n\n${text}`],
    ['within', (text: string, odd: string) => `${text} ${odd} ${text}`],
  ])('leaves out twenty words that were searched one by one, %s', (_, join) => {
    for (let i = 0; i < 20; i++) {
      const text = prose(3, 20_000 + i)
      const odd = jumbled(20, i)
      const { text: read } = judge(join(text, odd))
      const left = odd
        .split(' ')
        .filter((_, at, all) => read.includes(all.slice(at, at + 4).join(' ')))
      expect(left.length).toBeLessThan(8)
      // words at the edge may go with them, whole sentences do not
      expect(read.length).toBeGreaterThan(0.7 * text.length)
    }
  })

  it('is the part that is worded most like training prompts, of a text longer than those are', () => {
    const question = prose(4, 30_000)
    const padding = Array.from(
      { length: 60 },
      (_, i) => `Boats wait by pier ${i} on the river.`,
    ).join(' ')
    for (const text of [`${question}\n\n${padding}`, `${padding}\n\n${question}`]) {
      const { text: read } = judge(text)
      expect(read.length).toBeLessThan(1.2 * question.length)
      // words next to what is left out may go with it
      expect(read).toContain(question.slice(60, -60))
    }
  })

  it('is all of a text of which nothing is familiar', () => {
    const text =
      'Wie weit ist es von hier bis zum Bahnhof, und wann fährt morgens der erste Zug nach Norden, bitte sehr?'
    expect(judge(text).text).toBe(text)
  })

  it('is all of any text where few prompts were learnt from', () => {
    const few = createFamiliar(familiarState(TRAIN.slice(0, 200)))
    const text = `${prose(2, 1)} ${jumbled(60, 2)}`
    expect(few(text).text).toBe(text)
  })

  it('is bounded in time for a very long text', () => {
    const started = performance.now()
    judge(jumbled(200_000, 3))
    expect(performance.now() - started).toBeLessThan(2000)
  })
})

describe('how unlike the training prompts a text is', () => {
  it('is spread evenly over texts like them', () => {
    const scores = Array.from({ length: 300 }, (_, i) => judge(prose(2 + (i % 4), 40_000 + i)).ood)
    expect(scores.filter((ood) => ood > 0.9).length).toBeLessThan(45)
    expect(scores.filter((ood) => ood > 0.99).length).toBeLessThan(10)
  })

  it.each([
    ['very short', 'Say hi'],
    ['very long', prose(60, 5)],
    ['words in no known order', jumbled(40, 6)],
    ['another language', 'Wie weit ist es von hier bis zum Bahnhof, und wann fährt der erste Zug?'],
  ])('is over .99 for %s', (_, text) => {
    expect(judge(text).ood).toBeGreaterThan(0.99)
  })
})

describe('the encoder', () => {
  it('encodes what is read, keeps the fields before it, and gives the same at once', async () => {
    const odd = `${prose(3, 50_000)}\n\n${jumbled(20, 7)}`
    const { encoder } = fitted
    const reading = framed(['gold'], odd)
    expect(textOf(encoder.read!(reading))).toBe(judge(odd).text)
    expect(encoder.read!(reading)).toBe(framed(['gold'], judge(odd).text))
    const { embeddings, ood } = await encoder.encode([odd, 'Say hi'])
    expect(embeddings).toEqual((await plain.encoder.encode([judge(odd).text, 'Say hi'])).embeddings)
    expect([...ood!].map((x) => x.toFixed(4))).toEqual(
      [odd, 'Say hi'].map((text) => judge(text).ood.toFixed(4)),
    )
    expect(encoder.encodeNow!('Say hi').ood![0]).toBe(ood![1])
  })

  it('is the same after a bundle was written and read', async () => {
    for (const [name, bytes] of fitted.files) {
      await mkdir(dirname(join(folder, name)), { recursive: true })
      await writeFile(join(folder, name), bytes)
    }
    const { spec } = fitted.encoder
    const loaded = await loadEncoder(JSON.parse(JSON.stringify(spec)), folder)
    const texts = [prose(3, 60_000), `${prose(2, 1)} ${jumbled(25, 8)}`, prose(40, 2)]
    expect(await loaded.encode(texts)).toEqual(await fitted.encoder.encode(texts))
    await writeFile(join(folder, FAMILIAR_FILE), fitted.files.get(FAMILIAR_FILE)!.slice(0, 100))
    await expect(loadEncoder(spec, folder)).rejects.toMatchObject({ code: 'bundle_invalid' })
  })
})
