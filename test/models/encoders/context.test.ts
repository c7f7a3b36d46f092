import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  CONTEXT_FILE,
  type ContextField,
  createContextEncoder,
  fieldsOf,
  framed,
  textOf,
  valueHash,
} from '../../../models/encoders/context.ts'
import type { Embeddings } from '../../../models/encoders/embeddings.ts'
import type { EncoderArtifact } from '../../../models/encoders/encoder.ts'
import { SURFACE_COUNT } from '../../../models/encoders/lexical/surface.ts'
import { loadEncoder } from '../../../models/encoders/registry.ts'
import { describeEncoderContract } from '../../../testing/encoder-contract.ts'
import { fitLexical } from '../../../training/lexical/fit.ts'

const WORDS = [
  'What is the capital of France?',
  'What is the capital of Spain?',
  'Write a Python function that merges two sorted lists.',
  'Prove that the square root of two is irrational.',
]
const FIELDS: ContextField[] = [
  {
    kind: 'category',
    name: 'tier',
    weight: 0.5,
    values: ['free', 'gold'].map((value) => valueHash('tier', value)).sort(),
  },
  { kind: 'number', name: 'turns', mean: 2, scale: 0.1, low: 1, high: 5 },
]
const COLUMNS = 3

const CROSSED: ContextField[] = FIELDS.map((field) =>
  field.kind === 'category' ? { ...field, crossed: 0.5 } : field,
)

let sparse: EncoderArtifact
let crossed: EncoderArtifact
let dense: EncoderArtifact
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-context-'))
  sparse = createContextEncoder(await fitLexical({ prompts: WORDS }), FIELDS)
  crossed = createContextEncoder(await fitLexical({ prompts: WORDS }), CROSSED)
  const projection = { dimension: 2, maxBuckets: 100, maxPrompts: 10, seed: 1 }
  dense = createContextEncoder(await fitLexical({ prompts: WORDS, projection }), FIELDS)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describeEncoderContract('context over sparse lexical', async () => sparse.encoder)
describeEncoderContract('context over dense lexical', async () => dense.encoder)
describeEncoderContract('context crossed with sparse lexical', async () => crossed.encoder)

const valuesOf = (embeddings: Embeddings, row = 0): number[] => {
  const out = new Array<number>(COLUMNS).fill(0)
  if (embeddings.kind === 'dense') {
    return [...embeddings.values.subarray(row * embeddings.dimension)].slice(0, COLUMNS)
  }
  for (let j = embeddings.offsets[row]!; j < embeddings.offsets[row + 1]!; j++) {
    const id = embeddings.ids[j]!
    if (id < COLUMNS) out[id] = embeddings.weights[j]!
  }
  return out
}

describe('the fields of a reading', () => {
  it('are told apart from its text, whatever either holds', () => {
    const reading = framed(['gold', '', 'a\u001fb\u001dc'], '\u001dtext\u001f')
    expect(fieldsOf(reading)).toEqual(['gold', '', 'a b c'])
    expect(textOf(reading)).toBe('\u001dtext\u001f')
    expect(fieldsOf('plain')).toEqual([])
    expect(textOf('plain')).toBe('plain')
  })

  it.each(['sparse', 'dense'] as const)(
    'become columns before those of the text (%s)',
    async (form) => {
      const { encoder } = { sparse, dense }[form]
      const { embeddings } = await encoder.encode([
        framed(['gold', 3], WORDS[0]!),
        framed(['free', 1], WORDS[0]!),
        framed(['never seen', ''], WORDS[0]!),
        WORDS[0]!,
      ])
      const gold =
        FIELDS[0]!.kind === 'category' ? FIELDS[0]!.values.indexOf(valueHash('tier', 'gold')) : -1
      const expected = [0, 0, 0.1]
      expected[gold] = 0.5
      const got = [0, 1, 2, 3].map((row) =>
        valuesOf(embeddings, row).map((x) => Math.round(1000 * x) / 1000),
      )
      expect(got[0]).toEqual(expected)
      expect(got[1]![1 - gold]).toBe(0.5)
      expect(got[1]![2]).toBe(-0.1)
      // unseen and missing values are the average
      expect(got[2]).toEqual([0, 0, 0])
      expect(got[3]).toEqual([0, 0, 0])
    },
  )

  it('hold numbers to the range of training, and read no words as numbers', async () => {
    const { embeddings } = await sparse.encoder.encode(
      [1e9, -1e9, 'many', 'Infinity'].map((turns) => framed(['', turns], 'x')),
    )
    const got = [0, 1, 2, 3].map((row) => valuesOf(embeddings, row)[2]!.toFixed(3))
    expect(got).toEqual(['0.300', '-0.100', '0.000', '0.000'])
  })

  it('give the same at once and in a batch, also after other lengths', async () => {
    for (const text of [`${WORDS[2]} ${WORDS[3]}`, 'hi', WORDS[0]!]) {
      const reading = framed(['gold', 4], text)
      const now = sparse.encoder.encodeNow!(reading).embeddings
      const batch = (await sparse.encoder.encode([reading])).embeddings
      if (now.kind !== 'sparse' || batch.kind !== 'sparse') throw new Error('expected sparse rows')
      const end = now.offsets[1]!
      expect([...now.ids.subarray(0, end)]).toEqual([...batch.ids])
      expect([...now.weights.subarray(0, end)]).toEqual([...batch.weights])
    }
  })

  it('are named in explanations', () => {
    const named = sparse.encoder.featureNames!(framed(['gold', 4], 'capital'))
    expect([...named.values()]).toEqual(
      expect.arrayContaining(['[tier: gold]', '[turns: 4]', 'capital']),
    )
  })
})

describe('a category crossed with the text', () => {
  const rowOf = async (reading: string): Promise<Map<number, number>> => {
    const { embeddings } = await crossed.encoder.encode([reading])
    if (embeddings.kind !== 'sparse') throw new TypeError('expected sparse rows')
    return new Map([...embeddings.ids].map((id, j) => [id, embeddings.weights[j]!]))
  }

  it('adds its share of each plain feature, in columns of the value’s own', async () => {
    const { dimension } = sparse.encoder.spec
    const [gold, free, unseen] = await Promise.all(
      ['gold', 'free', 'never seen'].map((tier) => rowOf(framed([tier, 3], WORDS[2]!))),
    )
    const alone = await rowOf(WORDS[2]!)
    const products = (row: Map<number, number>) => [...row.keys()].filter((id) => id >= dimension)
    expect(products(gold!)).toHaveLength(SURFACE_COUNT)
    expect(products(free!)).toHaveLength(SURFACE_COUNT)
    expect(products(gold!).some((id) => products(free!).includes(id))).toBe(false)
    expect(products(unseen!)).toEqual([])
    expect(products(alone)).toEqual([])
    const plain = [...alone.keys()].filter((id) => id >= dimension - SURFACE_COUNT).sort()
    const halves = plain.map((id) => 0.5 * alone.get(id)!)
    const got = products(gold!).sort((a, b) => a - b)
    expect(got.map((id) => gold!.get(id))).toEqual(halves.map(Math.fround))
    expect(crossed.encoder.spec.dimension).toBe(dimension + 2 * SURFACE_COUNT)
  })

  it('is named, and gives the same at once', async () => {
    const reading = framed(['gold', 4], WORDS[3]!)
    const named = crossed.encoder.featureNames!(reading)
    expect([...named.values()]).toContain('[tier: gold] [length (characters)]')
    const now = crossed.encoder.encodeNow!(reading).embeddings
    if (now.kind !== 'sparse') throw new TypeError('expected sparse rows')
    const end = now.offsets[1]!
    const row = await rowOf(reading)
    expect([...now.ids.subarray(0, end)]).toEqual([...row.keys()])
    expect([...now.weights.subarray(0, end)]).toEqual([...row.values()])
  })
})

describe('a bundle’s context', () => {
  it('holds no declared value', () => {
    const text = Buffer.from(sparse.files.get(CONTEXT_FILE)!).toString()
    expect(text).toContain('tier')
    expect(text).not.toMatch(/gold|free/)
  })

  const written = async (text: string | undefined): Promise<void> => {
    for (const [name, bytes] of sparse.files) {
      const path = join(folder, name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, name === CONTEXT_FILE && text !== undefined ? text : bytes)
    }
  }

  it('is read back', async () => {
    await written(undefined)
    const loaded = await loadEncoder(sparse.encoder.spec, folder)
    const readings = [framed(['gold', 3], WORDS[1]!), 'hi']
    expect((await loaded.encode(readings)).embeddings).toEqual(
      (await sparse.encoder.encode(readings)).embeddings,
    )
  })

  it.each([
    ['not json', 'JSON'],
    ['{"format": 1, "fields": [{"kind": "number"}]}', 'fields'],
    ['{"format": 1, "fields": []}', 'columns'],
  ])('is refused where it is %s', async (text, said) => {
    await written(text)
    await expect(loadEncoder(sparse.encoder.spec, folder)).rejects.toMatchObject({
      code: 'bundle_invalid',
      message: expect.stringContaining(said),
    })
  })
})
