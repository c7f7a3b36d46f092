import { expect, test } from 'vitest'
import { fitLexical } from '../../training/lexical/fit.ts'

test.each([{ projected: false }, { projected: true }])(
  'a row made at once is the row of a batch, bit for bit (projected: $projected)',
  async ({ projected }) => {
    const prompts = Array.from({ length: 80 }, (_, i) => `prove theorem ${i % 7} of part ${i % 5}`)
    const projection = { dimension: 8, maxBuckets: 4096, maxPrompts: 80, seed: 1 }
    const { encoder } = await fitLexical({ prompts, ...(projected ? { projection } : {}) })
    for (const prompt of ['prove theorem 3', 'x', '', 'of part 4 '.repeat(3000)]) {
      const { embeddings, truncated } = await encoder.encode([prompt])
      const now = encoder.encodeNow!(prompt)
      expect(now.truncated).toEqual(truncated)
      if (embeddings.kind === 'dense') {
        expect(now.embeddings).toEqual(embeddings)
        continue
      }
      const own = now.embeddings as typeof embeddings
      const end = embeddings.offsets[1]!
      expect(own.offsets).toEqual(embeddings.offsets)
      expect(own.ids.subarray(0, end)).toEqual(embeddings.ids)
      expect(own.weights.subarray(0, end)).toEqual(embeddings.weights)
    }
  },
)
