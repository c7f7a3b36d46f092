import { describe, expect, it } from 'vitest'
import type { Encoder, EncoderSpec } from '../../../models/encoders/encoder.ts'
import { appendColumns, joinEncoders, loadJoined } from '../../../models/encoders/joined.ts'

const spec = (kind: string, output: 'dense' | 'sparse', dimension: number): EncoderSpec => ({
  kind,
  id: `${kind}-1`,
  dimension,
  output,
  files: [`encoder/${kind}.bin`],
  options: {},
})
/** Column 1 holds the prompt's length; an empty prompt has no column at all. */
const sparse: Encoder = {
  spec: spec('words', 'sparse', 3),
  encode: async (prompts) => ({
    embeddings: {
      kind: 'sparse',
      rows: prompts.length,
      dimension: 3,
      offsets: Uint32Array.from([
        0,
        ...prompts.map((_, i) => prompts.slice(0, i + 1).filter((p) => p !== '').length),
      ]),
      ids: Uint32Array.from(prompts.filter((p) => p !== '').map(() => 1)),
      weights: Float32Array.from(prompts.filter((p) => p !== '').map((p) => p.length)),
    },
    truncated: new Uint8Array(prompts.length),
  }),
}
const dense: Encoder = {
  spec: spec('meaning', 'dense', 2),
  encode: async (prompts) => ({
    embeddings: {
      kind: 'dense',
      rows: prompts.length,
      dimension: 2,
      values: Float32Array.from(prompts.flatMap((p) => [p.length, -1])),
    },
    truncated: Uint8Array.from(prompts, () => 1),
  }),
}
const joined = joinEncoders(
  { encoder: sparse, files: new Map([['encoder/words.bin', new Uint8Array(1)]]) },
  { encoder: dense, files: new Map([['encoder/meaning.bin', new Uint8Array(2)]]) },
)

describe('the joined encoder', () => {
  it('stands the dense columns behind the sparse ones, row by row', async () => {
    const { embeddings, truncated } = await joined.encoder.encode(['', 'abc'])
    if (embeddings.kind !== 'sparse') throw new Error('sparse')
    expect([...embeddings.offsets]).toEqual([0, 2, 5])
    expect([...embeddings.ids]).toEqual([3, 4, 1, 3, 4])
    expect([...embeddings.weights]).toEqual([0, -0.5, 3, 1.5, -0.5])
    expect(embeddings.dimension).toBe(5)
    expect([...truncated]).toEqual([1, 1])
  })

  it('carries both encoders’ files and loads again from its spec alone', async () => {
    expect([...joined.files.keys()]).toEqual(['encoder/words.bin', 'encoder/meaning.bin'])
    const asRead = JSON.parse(JSON.stringify(joined.encoder.spec)) as EncoderSpec
    const again = await loadJoined(asRead, async ({ kind }) => (kind === 'words' ? sparse : dense))
    expect(await again.encode(['abc'])).toEqual(await joined.encoder.encode(['abc']))
  })

  it('refuses a spec whose parts are not two encoders', async () => {
    const broken = { ...joined.encoder.spec, options: { parts: [sparse.spec] } }
    await expect(loadJoined(broken, async () => sparse)).rejects.toThrow(/a sparse and a dense/)
  })

  it('adds nothing to rows that are not there', () => {
    const none = appendColumns(
      {
        kind: 'sparse',
        rows: 0,
        dimension: 3,
        offsets: new Uint32Array(1),
        ids: new Uint32Array(0),
        weights: new Float32Array(0),
      },
      { kind: 'dense', rows: 0, dimension: 2, values: new Float32Array(0) },
    )
    expect(none.dimension).toBe(5)
    expect(none.ids).toHaveLength(0)
  })
})
