import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { cachedFile } from '../../models/encoders/cache.ts'
import { runWeir } from '../../scripts/cli/program.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-cache-'))
  vi.stubEnv('WEIR_CACHE', folder)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

async function weirCache(...flags: readonly string[]): Promise<{ code: number; json: unknown }> {
  const out = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  const err = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  try {
    const code = await runWeir(['cache', '--json', ...flags])
    const said = out.mock.calls.map(([text]) => String(text)).join('')
    return { code, json: JSON.parse(said) }
  } finally {
    out.mockRestore()
    err.mockRestore()
  }
}

/** `day`: when it was written */
async function file(path: string, bytes: number, day: number): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true })
  await writeFile(join(folder, path), new Uint8Array(bytes))
  await utimes(join(folder, path), day * 86_400, day * 86_400)
}

async function filled(): Promise<void> {
  await file('embeddings/old/00.arrow', 1e6, 100)
  await file('embeddings/old/01.arrow', 1e6, 101)
  await file('embeddings/new/00.arrow', 2e6, 300)
  await file('hub/org/model/model.onnx', 3e6, 200)
}

test('the cache is told by kind, and one that does not exist is empty', async () => {
  await filled()
  expect((await weirCache()).json).toEqual({
    folder,
    bytes: 7e6,
    kinds: { embeddings: { entries: 2, bytes: 4e6 }, hub: { entries: 1, bytes: 3e6 } },
  })
  vi.stubEnv('WEIR_CACHE', join(folder, 'none'))
  expect((await weirCache()).json).toMatchObject({ bytes: 0, kinds: {} })
})

test('what was written longest ago goes first, whole, until it is small enough', async () => {
  await filled()
  const { json } = await weirCache('--max-size', '5.5')
  expect(json).toMatchObject({ bytes: 5e6, removed: { entries: 1, bytes: 2e6 } })
  expect(await readdir(join(folder, 'embeddings'))).toEqual(['new'])
  expect((await weirCache('--max-size', '2')).json).toMatchObject({ bytes: 2e6 })
  expect(await readdir(join(folder, 'hub'))).toEqual([])
  expect((await weirCache('--clear')).json).toMatchObject({ bytes: 0 })
})

test('encoders that were converted count, and what Weir did not make stays', async () => {
  await cachedFile(folder, 'use-lite-1.onnx', async () => new Uint8Array(4e6))
  await file('documents/letter.txt', 1e6, 1)
  await file('notes.txt', 1e6, 1)
  expect((await weirCache()).json).toMatchObject({
    bytes: 4e6,
    kinds: { encoders: { entries: 1, bytes: 4e6 } },
  })
  expect((await weirCache('--clear')).json).toMatchObject({ bytes: 0 })
  expect(await readdir(folder)).toEqual(['documents', 'encoders', 'notes.txt'])
  expect(await readdir(join(folder, 'documents'))).toEqual(['letter.txt'])
})

test('--clear and --max-size together are refused', async () => {
  await filled()
  expect(await weirCache('--clear', '--max-size', '1')).toMatchObject({ code: 2 })
  expect((await weirCache()).json).toMatchObject({ bytes: 7e6 })
})
