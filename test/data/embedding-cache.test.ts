import { rmSync } from 'node:fs'
import { cp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { encodeToCache, readFromCache, withEmbeddingCache } from '../../data/embedding-cache.ts'
import { hashEncoder } from './hash-encoder.ts'
import { bytesOf, refusal, scratch } from './scratch.ts'

const PROMPTS = [...Array(600).keys()].map((i) => `prompt number ${i}`)

describe('the embedding cache', () => {
  test.each(['dense', 'sparse'] as const)(
    'gives back %s rows as they were encoded',
    async (output) => {
      const encoder = hashEncoder(output)
      const cached = withEmbeddingCache(encoder, await scratch())
      const asked = [...PROMPTS.slice(0, 50), PROMPTS[3]!]
      const direct = await hashEncoder(output).encode(asked)
      expect(await cached.encode(asked)).toEqual(direct)
      expect(await cached.encode(asked)).toEqual(direct)
      expect(encoder.calls).toBe(50)
    },
  )

  test('encodes only what is new when a log has grown, and ends with the same bytes', async () => {
    const encoder = hashEncoder('dense')
    const [grown, whole] = [await scratch(), await scratch()]
    await encodeToCache(PROMPTS.slice(0, 400), encoder, { folder: grown })
    const { encoded, folder } = await encodeToCache(PROMPTS, encoder, { folder: grown })
    expect(encoded).toBe(200)
    const once = await encodeToCache(PROMPTS, encoder, { folder: whole })
    expect(await bytesOf(folder)).toEqual(await bytesOf(once.folder))
  })

  test.each(['dense', 'sparse'] as const)(
    'shards of a %s encode, copied together, are the bytes of one run',
    async (output) => {
      const merged = await scratch()
      const one = await encodeToCache(PROMPTS, hashEncoder(output), { folder: await scratch() })
      let prompts = 0
      for (let index = 0; index < 3; index++) {
        const own = await scratch()
        const encoder = hashEncoder(output)
        const shard = await encodeToCache(PROMPTS, encoder, {
          folder: own,
          shard: { index, of: 3 },
        })
        prompts += shard.prompts
        await cp(own, merged, { recursive: true })
      }
      expect(prompts).toBe(PROMPTS.length)
      const [name] = await readdir(merged)
      expect(await bytesOf(join(merged, name!))).toEqual(await bytesOf(one.folder))
    },
  )

  test('is filled by several at once, and loses nothing that any of them added', async () => {
    const folder = await scratch()
    const asked = PROMPTS.slice(0, 120)
    const own = [...Array(3).keys()].map((of) => asked.filter((_, i) => i % 3 === of || i < 20))
    await Promise.all(
      own.map(async (prompts) => {
        const direct = await hashEncoder('dense').encode(prompts)
        const cached = withEmbeddingCache(hashEncoder('dense'), folder)
        expect(await cached.encode(prompts)).toEqual(direct)
      }),
    )
    const encoder = hashEncoder('dense')
    await encodeToCache(asked, encoder, { folder })
    expect(encoder.calls).toBe(0)
  })

  test('encodes again what is removed from it before it is read', async () => {
    const folder = await scratch()
    let removed = false
    const onProgress = ({ done, total }: { done: number; total?: number }): void => {
      if (removed || done !== total) return
      removed = true
      rmSync(folder, { recursive: true })
    }
    const cached = withEmbeddingCache(hashEncoder('dense'), folder, onProgress)
    const asked = PROMPTS.slice(0, 40)
    expect(await cached.encode(asked)).toEqual(await hashEncoder('dense').encode(asked))
    expect(removed).toBe(true)
  })

  test('keeps encoders apart, and says which prompt it does not have', async () => {
    const folder = await scratch()
    await encodeToCache(PROMPTS, hashEncoder('dense', 'one/a'), { folder })
    const other = hashEncoder('dense', 'one:a')
    const error = await refusal(readFromCache(PROMPTS, other.spec, folder), 'dataset_invalid')
    expect(error.message).toContain('one:a')
    await encodeToCache(PROMPTS, other, { folder })
    expect(other.calls).toBe(PROMPTS.length)
  })

  test('stops when it is told to, with what was done kept', async () => {
    const folder = await scratch()
    const many = [...Array(5000).keys()].map((i) => `p${i}`)
    const stop = new AbortController()
    const encoder = hashEncoder('dense')
    const onProgress = (): void => stop.abort()
    await refusal(
      encodeToCache(many, encoder, { folder, signal: stop.signal, onProgress }),
      'cancelled',
    )
    const before = encoder.calls
    expect(before).toBeLessThan(many.length)
    expect((await encodeToCache(many, encoder, { folder })).encoded).toBe(many.length - before)
  })
})
