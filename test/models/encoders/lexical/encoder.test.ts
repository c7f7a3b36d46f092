import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { WeirError } from '../../../../core/errors.ts'
import type { EncoderArtifact } from '../../../../models/encoders/encoder.ts'
import { joinEncoders } from '../../../../models/encoders/joined.ts'
import { loadEncoder } from '../../../../models/encoders/registry.ts'
import { describeEncoderContract } from '../../../../testing/encoder-contract.ts'
import { fitLexical } from '../../../../training/lexical/fit.ts'

const TRAIN = [
  'What is the capital of France?',
  'What is the capital of Peru?',
  'Write a Python function that adds two numbers.',
  'Write a Python function that sorts a list.',
  'Prove that the square root of two is irrational.',
  'Prove that the sum of two odd numbers is even.',
  '1 + 2 = ?',
]
const sparse = (): Promise<EncoderArtifact> => fitLexical({ prompts: TRAIN })
const dense = (): Promise<EncoderArtifact> =>
  fitLexical({
    prompts: TRAIN,
    projection: { dimension: 4, maxBuckets: 1000, maxPrompts: 100, seed: 1 },
  })

describeEncoderContract('lexical (sparse)', async () => (await sparse()).encoder)
describeEncoderContract('lexical (dense)', async () => (await dense()).encoder)
describeEncoderContract('joined', async () => joinEncoders(await sparse(), await dense()).encoder)

async function saved(artifact: EncoderArtifact): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-lexical-'))
  for (const [name, bytes] of artifact.files) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), bytes)
  }
  return folder
}

describe('lexical', () => {
  for (const [name, make] of [
    ['sparse', sparse],
    ['dense', dense],
  ] as const) {
    it(`gives the same rows after it was written and loaded (${name})`, async () => {
      const artifact = await make()
      const loaded = await loadEncoder(artifact.encoder.spec, await saved(artifact))
      const prompts = ['Prove that Python is a list.', 'unknown words only', '']
      expect(await loaded.encode(prompts)).toEqual(await artifact.encoder.encode(prompts))
    })
  }

  it('has one id for one fitted state and another for other prompts', async () => {
    const again = await sparse()
    const other = await fitLexical({ prompts: [...TRAIN, 'Write a Python poem about France.'] })
    expect(again.encoder.spec.id).toBe((await sparse()).encoder.spec.id)
    expect(other.encoder.spec.id).not.toBe(again.encoder.spec.id)
  })

  it('weights a rare word above a common one, and forgets words seen once', async () => {
    const { encoder } = await sparse()
    const prompt = 'prove that what capital gibberish'
    const { embeddings } = await encoder.encode([prompt])
    const names = encoder.featureNames!(prompt)
    if (embeddings.kind !== 'sparse') throw new Error('expected sparse rows')
    const weights = new Map(
      Array.from(embeddings.ids, (id, i) => [names.get(id), embeddings.weights[i]!]),
    )
    // `that` is in four of the prompts, `capital` in two
    expect(weights.get('capital')).toBeGreaterThan(weights.get('that')!)
    expect([...weights.keys()]).not.toContain('gibberish')
  })

  it('keeps the most frequent buckets when there are more than it may keep', async () => {
    const { encoder } = await fitLexical({ prompts: TRAIN, options: { maxBuckets: 3 } })
    const names = [...encoder.featureNames!(TRAIN.join(' ')).values()]
    expect(names.filter((name) => !name.startsWith('['))).toHaveLength(3)
    expect(names).toContain('that')
  })

  it('refuses a file that was cut', async () => {
    const artifact = await sparse()
    const folder = await saved(artifact)
    const [name, bytes] = [...artifact.files][0]!
    await writeFile(join(folder, name), bytes.subarray(0, bytes.length >> 1))
    await expect(loadEncoder(artifact.encoder.spec, folder)).rejects.toThrow(WeirError)
  })
})
