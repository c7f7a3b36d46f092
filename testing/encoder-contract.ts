import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Embeddings } from '../models/encoders/embeddings.ts'
import type { Encoded, Encoder } from '../models/encoders/encoder.ts'

/** How closely a prompt's row must agree with itself in another batch. */
export type Tolerance = { readonly absolute: number } | { readonly cosine: number }

export interface EncoderContractOptions {
  /** 1e-5 in every number, unless the encoder's arithmetic is quantised over the whole batch. */
  readonly tolerance?: Tolerance
  /** The reason why this encoder never truncates, where it reads prompts of any length whole. */
  readonly readsEverything?: string
}

const PROMPTS = [
  'What is the capital of France?',
  'Write a Python function that merges two sorted lists and explain its complexity.',
  '',
  'Prove that the square root of two is irrational.',
  '🙂🙃 what do these mean? 👩‍👩‍👧‍👦',
  '東京の天気はどうですか。明日は雨が降りますか。',
  'a lone surrogate \ud83d in the middle and one at the end \udc00',
  '   \n\t  ',
  'Zero\u0000byte, a\u0301ccents, ﬁ ligature, İstanbul, ẞ, \u200bzero width',
  'Summarise: '.concat('the quick brown fox jumps over the lazy dog. '.repeat(12)),
]

const LONG = 'The committee discussed the budget of the northern region at length. '
  .repeat(1500)
  .slice(0, 100_000)

/** The one suite that every encoder passes: `lexical`, `use-lite`, `hf`, `openai`, and each of them in a worker. */
export function describeEncoderContract(
  name: string,
  makeEncoder: () => Promise<Encoder>,
  options: EncoderContractOptions = {},
): void {
  const tolerance = options.tolerance ?? { absolute: 1e-5 }

  describe(`${name} keeps the encoder contract:`, () => {
    let encoder: Encoder
    let whole: Encoded
    beforeAll(async () => {
      encoder = await makeEncoder()
      whole = await encoder.encode(PROMPTS)
    })
    afterAll(() => encoder?.close?.())

    it('says what it is and gives rows of the dimension and layout it states', () => {
      expect(encoder.spec.id).not.toBe('')
      expect(encoder.spec.kind).not.toBe('')
      expect(whole.embeddings.kind).toBe(encoder.spec.output)
      expect(whole.embeddings.dimension).toBe(encoder.spec.dimension)
      expect(whole.embeddings.rows).toBe(PROMPTS.length)
      expect(whole.truncated).toHaveLength(PROMPTS.length)
      expectWellFormed(whole.embeddings)
    })

    it('has a spec that survives JSON, as a manifest wants it', () => {
      expect(JSON.parse(JSON.stringify(encoder.spec))).toEqual(encoder.spec)
    })

    it('gives the same numbers twice', async () => {
      const again = await encoder.encode(PROMPTS)
      expect(again.embeddings).toEqual(whole.embeddings)
      expect(again.truncated).toEqual(whole.truncated)
    })

    it('tells different prompts apart', () => {
      expect(cosine(rowOf(whole.embeddings, 0), rowOf(whole.embeddings, 1))).toBeLessThan(0.999)
    })

    it('gives each prompt the same row alone as in a batch', async () => {
      for (const [index, prompt] of PROMPTS.entries()) {
        const alone = await encoder.encode([prompt])
        expectSameRow(alone.embeddings, 0, whole.embeddings, index, tolerance)
        expect(alone.truncated[0]).toBe(whole.truncated[index])
      }
    })

    it('gives each prompt the same row in any order, duplicates included', async () => {
      const order = [9, 3, 3, 0, 8, 6, 1, 5, 2, 7, 4, 9]
      const shuffled = await encoder.encode(order.map((index) => PROMPTS[index]!))
      for (const [place, index] of order.entries()) {
        expectSameRow(shuffled.embeddings, place, whole.embeddings, index, tolerance)
      }
    })

    it('gives no rows for no prompts', async () => {
      const none = await encoder.encode([])
      expect(none.embeddings.rows).toBe(0)
      expect(none.embeddings.dimension).toBe(encoder.spec.dimension)
      expect(none.truncated).toHaveLength(0)
    })

    it('encodes prompts of one character and of odd characters', async () => {
      const odd = ['a', '\ud800', '\udfff', '🙂', '漢', '\u0000', '▁', '\uffff', '</s>', '[CLS]']
      const { embeddings } = await encoder.encode(odd)
      expect(embeddings.rows).toBe(odd.length)
      expectWellFormed(embeddings)
    })

    it('encodes 100,000 characters with and without spaces in reasonable time', async () => {
      const started = performance.now()
      const { embeddings } = await encoder.encode([LONG, 'x'.repeat(100_000), '漢'.repeat(100_000)])
      expectWellFormed(embeddings)
      expect(performance.now() - started).toBeLessThan(10_000)
    })

    it.skipIf(options.readsEverything !== undefined)(
      'reports truncation of the long prompt and of no other',
      async () => {
        const { truncated } = await encoder.encode(['short', LONG, 'also short'])
        expect([...truncated]).toEqual([0, 1, 0])
      },
    )

    it('reads both the head and the tail of a long prompt', async () => {
      const head = `Translate this into French please and then compile it: ${LONG}`
      const tail = `${LONG} Translate this into French please and then compile it`
      const { embeddings } = await encoder.encode([LONG, head, tail])
      expect(rowOf(embeddings, 1)).not.toEqual(rowOf(embeddings, 0))
      expect(rowOf(embeddings, 2)).not.toEqual(rowOf(embeddings, 0))
    })

    it('refuses to start once its signal is aborted', async () => {
      await expect(encoder.encode(PROMPTS, AbortSignal.abort())).rejects.toMatchObject({
        name: 'WeirError',
        code: 'cancelled',
      })
    })

    it('stops with `cancelled`, or finishes whole, when aborted on the way, and works afterwards', async () => {
      const controller = new AbortController()
      const many = Array.from({ length: 500 }, (_, i) => `${PROMPTS[i % PROMPTS.length]} ${i}`)
      const outcome = encoder.encode(many, controller.signal).then(
        (encoded) => encoded.embeddings.rows,
        (error: unknown) => (error as { code?: unknown }).code,
      )
      setImmediate(() => controller.abort())
      expect([many.length, 'cancelled']).toContain(await outcome)
      const after = await encoder.encode([PROMPTS[0]!])
      expectSameRow(after.embeddings, 0, whole.embeddings, 0, tolerance)
    })

    it('keeps calls that overlap apart', async () => {
      const each = await Promise.all(PROMPTS.map((prompt) => encoder.encode([prompt])))
      for (const [index, encoded] of each.entries()) {
        expectSameRow(encoded.embeddings, 0, whole.embeddings, index, tolerance)
      }
    })
  })
}

function expectWellFormed(embeddings: Embeddings): void {
  if (embeddings.kind === 'dense') {
    expect(embeddings.values).toHaveLength(embeddings.rows * embeddings.dimension)
    expect(embeddings.values.every(Number.isFinite)).toBe(true)
    return
  }
  const { offsets, ids, weights, rows, dimension } = embeddings
  expect(offsets).toHaveLength(rows + 1)
  expect(offsets[0]).toBe(0)
  expect(offsets[rows]).toBe(ids.length)
  expect(weights).toHaveLength(ids.length)
  expect(weights.every(Number.isFinite)).toBe(true)
  for (let row = 0; row < rows; row++) {
    const own = ids.subarray(offsets[row]!, offsets[row + 1]!)
    expect(own.every((id) => id < dimension)).toBe(true)
    expect(new Set(own).size).toBe(own.length)
  }
}

/** A row as its non-zero entries, so that sparse rows of 2^18 dimensions compare as quickly as dense ones. */
function rowOf(embeddings: Embeddings, row: number): Map<number, number> {
  const entries = new Map<number, number>()
  if (embeddings.kind === 'dense') {
    for (let j = 0; j < embeddings.dimension; j++) {
      const value = embeddings.values[row * embeddings.dimension + j]!
      if (value !== 0) entries.set(j, value)
    }
    return entries
  }
  for (let j = embeddings.offsets[row]!; j < embeddings.offsets[row + 1]!; j++) {
    if (embeddings.weights[j] !== 0) entries.set(embeddings.ids[j]!, embeddings.weights[j]!)
  }
  return entries
}

function expectSameRow(
  a: Embeddings,
  rowA: number,
  b: Embeddings,
  rowB: number,
  tolerance: Tolerance,
): void {
  const left = rowOf(a, rowA)
  const right = rowOf(b, rowB)
  if ('cosine' in tolerance) {
    if (left.size === 0 && right.size === 0) return
    expect(cosine(left, right)).toBeGreaterThanOrEqual(tolerance.cosine)
    return
  }
  let worst = 0
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    worst = Math.max(worst, Math.abs((left.get(key) ?? 0) - (right.get(key) ?? 0)))
  }
  expect(worst).toBeLessThanOrEqual(tolerance.absolute)
}

function cosine(a: Map<number, number>, b: Map<number, number>): number {
  let dot = 0
  for (const [key, value] of a) dot += value * (b.get(key) ?? 0)
  const norm = (row: Map<number, number>): number =>
    Math.sqrt([...row.values()].reduce((sum, value) => sum + value * value, 0))
  return dot / (norm(a) * norm(b))
}
