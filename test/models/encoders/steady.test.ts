import { describe, expect, it } from 'vitest'
import type { Encoder } from '../../../models/encoder.ts'
import { steadyEncoder } from '../../../models/encoders/steady.ts'
import type { Progress } from '../../../models/progress.ts'

const sizes: number[] = []
const lengths: Encoder = {
  spec: { kind: 'lengths', id: 'lengths', dimension: 1, output: 'dense', files: [], options: {} },
  async encode(prompts) {
    sizes.push(prompts.length)
    const values = Float32Array.from(prompts, (prompt) => prompt.length)
    return {
      embeddings: { kind: 'dense', rows: prompts.length, dimension: 1, values },
      truncated: Uint8Array.from(prompts, (prompt) => (prompt.length > 8 ? 1 : 0)),
    }
  },
}

describe('a steady encoder', () => {
  const prompts = Array.from({ length: 10 }, (_, i) => 'x'.repeat(i))

  it('encodes a long list in chunks, in order, and says how far it is', async () => {
    const said: Progress[] = []
    const encoder = steadyEncoder(lengths, (progress) => said.push(progress), 4)
    sizes.length = 0
    const encoded = await encoder.encode(prompts)
    expect(sizes).toEqual([4, 4, 2])
    expect(encoded).toEqual(await lengths.encode(prompts))
    expect(said.map(({ done, total }) => [done, total])).toEqual([
      [0, 10],
      [4, 10],
      [8, 10],
    ])
  })

  it('stops between chunks when it is aborted', async () => {
    const controller = new AbortController()
    const encoder = steadyEncoder(lengths, ({ done }) => done === 4 && controller.abort(), 4)
    await expect(encoder.encode(prompts, controller.signal)).rejects.toMatchObject({
      code: 'cancelled',
    })
  })
})
