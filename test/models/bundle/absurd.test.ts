import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WeirError } from '../../../core/errors.ts'
import type { HeadShape, Manifest } from '../../../models/bundle/manifest.ts'
import { writeBundle } from '../../../models/bundle/write.ts'
import { loadRouter } from '../../../models/router.ts'
import { sampleDraft } from '../sample-bundle.ts'
import { loadWordEncoder } from '../word-encoder.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-absurd-'))
})
afterEach(() => rm(root, { recursive: true }))

/** What loading and scoring throw, and the memory that they took. */
async function attempt(manifest: Partial<Manifest>, files: Record<string, Uint8Array> = {}) {
  const draft = sampleDraft({ manifest, folded: manifest.head !== undefined })
  const all = new Map([...draft.files, ...Object.entries(files)])
  const { path } = await writeBundle(root, {
    ...draft,
    files: all,
    manifest: { ...draft.manifest, ...manifest },
  })
  const before = process.memoryUsage().rss
  const error = await loadRouter(path, { loadEncoder: loadWordEncoder }).then(
    async (router) => {
      try {
        return await router.score(['prove it']).then(() => undefined)
      } finally {
        await router.close()
      }
    },
    (reason: unknown) => reason,
  )
  return { error, grown: process.memoryUsage().rss - before }
}

describe('a bundle with absurd dimensions is refused without taking the memory that it asks for', () => {
  const heads: HeadShape[] = [
    { link: 'pair', outputs: 1, dimension: 2 ** 50 },
    { link: 'pair', outputs: 2 ** 31, dimension: 6 },
    { link: 'success', outputs: 2 ** 26, dimension: 2 ** 26 },
  ]
  test.each(heads)('head %j', async (head) => {
    const { error, grown } = await attempt({ head })
    expect(error).toMatchObject({ code: 'bundle_invalid' })
    expect(grown).toBeLessThan(100 * 2 ** 20)
  })

  test('a graph that is none, or a piece of one', async () => {
    const whole = sampleDraft().files.get('router.onnx')!
    for (const graph of [
      new Uint8Array(0),
      Buffer.from('not a graph'),
      whole.subarray(0, whole.length / 2),
      Buffer.alloc(1 << 20, 0xff),
    ]) {
      const { error } = await attempt({}, { 'router.onnx': graph })
      expect(error).toBeInstanceOf(WeirError)
      expect(error).toMatchObject({ code: 'onnx_failed' })
    }
  })
})
