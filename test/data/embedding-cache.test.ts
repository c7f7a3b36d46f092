import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { encodeToCache, readFromCache, withEmbeddingCache } from '../../data/embedding-cache.ts'
import type { Embeddings } from '../../models/embeddings.ts'
import type { Encoder } from '../../models/encoder.ts'
import { promptHash } from '../../models/prompt-hash.ts'
import { refusal, scratch } from './scratch.ts'

const PROMPTS = [...Array(600).keys()].map((i) => `prompt number ${i}`)

/** Rows made of the prompt's hash; `calls` counts prompts. */
function hashEncoder(
  output: 'dense' | 'sparse',
  id = `hash-${output}:1`,
): Encoder & { calls: number } {
  const encoder = {
    calls: 0,
    spec: { kind: 'hash', id, dimension: 4, output, files: [], options: {} },
    async encode(prompts: readonly string[]) {
      encoder.calls += prompts.length
      const truncated = Uint8Array.from(prompts, (prompt) => (prompt.endsWith('7') ? 1 : 0))
      const numbers = prompts.map((prompt) => Buffer.from(promptHash(prompt), 'hex').subarray(0, 4))
      return { embeddings: output === 'dense' ? dense(numbers) : sparse(numbers), truncated }
    },
  }
  return encoder
}

const dense = (rows: readonly Uint8Array[]): Embeddings => ({
  kind: 'dense',
  rows: rows.length,
  dimension: 4,
  values: Float32Array.from(rows.flatMap((row) => [...row].map((value) => value / 256))),
})

/** A row has as many entries as its first byte says, none too. */
function sparse(rows: readonly Uint8Array[]): Embeddings {
  const lengths = rows.map((row) => row[0]! % 4)
  const offsets = new Uint32Array(rows.length + 1)
  lengths.forEach((length, i) => {
    offsets[i + 1] = offsets[i]! + length
  })
  const ids = Uint32Array.from(rows.flatMap((_, i) => [0, 1, 2].slice(0, lengths[i])))
  const weights = Float32Array.from(rows.flatMap((row, i) => [...row].slice(0, lengths[i])))
  return { kind: 'sparse', rows: rows.length, dimension: 4, offsets, ids, weights }
}

async function bytesOf(folder: string): Promise<Record<string, string>> {
  const files = (await readdir(folder)).sort()
  const entries = files.map(async (name) => [
    name,
    (await readFile(join(folder, name))).toString('base64'),
  ])
  return Object.fromEntries(await Promise.all(entries))
}

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
