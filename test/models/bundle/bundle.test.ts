import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { promptHash } from '../../../core/hash.ts'
import type { Manifest } from '../../../models/bundle/manifest.ts'
import { readBundle } from '../../../models/bundle/read.ts'
import { writeBundle } from '../../../models/bundle/write.ts'
import { sampleDraft, sampleHead } from '../sample-bundle.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-bundle-'))
})
afterEach(() => rm(root, { recursive: true }))

describe('writeBundle', () => {
  test('gives identical inputs one version, on any day and in any order of files', async () => {
    const draft = sampleDraft()
    const first = await writeBundle(root, draft, new Date('2026-01-01'))
    const again = await writeBundle(
      root,
      { ...draft, files: new Map([...draft.files].reverse()) },
      new Date('2027-01-01'),
    )
    expect(again.path).toBe(first.path)
    expect(again.manifest.created).toBe('2026-01-01T00:00:00.000Z')
  })

  test('leaves the date of a certificate out of the version and keeps its promise in it', async () => {
    const certified = (certificate: Record<string, unknown>) =>
      writeBundle(
        root,
        sampleDraft({ manifest: { threshold: { value: 0.4, source: 'calibrated', certificate } } }),
      )
    const monday = await certified({ target: { share: 0.3 }, date: '2026-01-05' })
    const tuesday = await certified({ target: { share: 0.3 }, date: '2026-01-06' })
    const other = await certified({ target: { share: 0.4 }, date: '2026-01-06' })
    expect(tuesday.manifest.version).toBe(monday.manifest.version)
    expect(other.manifest.version).not.toBe(monday.manifest.version)
  })

  test('swaps `current` to the new version and keeps the old one whole', async () => {
    const old = await writeBundle(root, sampleDraft())
    const next = await writeBundle(root, sampleDraft({ threshold: 0.7 }))
    expect(next.manifest.version).not.toBe(old.manifest.version)
    expect(await readlink(join(root, 'sample', 'current'))).toBe(next.manifest.version)
    expect((await readBundle(join(root, 'sample'))).manifest.threshold.value).toBe(0.7)
    expect((await readBundle(old.path)).manifest.threshold.value).toBe(0.5)
    const left = (await readdir(join(root, 'sample'))).filter((name) => name.startsWith('.'))
    expect(left).toEqual([])
  })

  test('refuses a manifest that does not fit, and writes nothing', async () => {
    const draft = sampleDraft({ name: '../escape' })
    await expect(writeBundle(root, draft)).rejects.toMatchObject({
      code: 'bundle_invalid',
      message: expect.stringContaining('manifest name'),
    })
    expect(await readdir(root)).toEqual([])
  })

  test('replaces a version that was damaged on disk', async () => {
    const { path } = await writeBundle(root, sampleDraft())
    await writeFile(join(path, 'head.bin'), 'damaged')
    await writeBundle(root, sampleDraft())
    await expect(readBundle(path)).resolves.toBeDefined()
  })
})

describe('readBundle', () => {
  test('gives back the head bit for bit', async () => {
    const { path } = await writeBundle(root, sampleDraft({ link: 'success' }))
    expect(await (await readBundle(path)).head()).toEqual(sampleHead('success'))
  })

  test('says where a prompt was seen', async () => {
    const { path } = await writeBundle(root, sampleDraft())
    const seen = await (await readBundle(path)).dataHashes()
    expect(seen.size).toBe(3)
    expect(seen.seenIn(promptHash('hello there'))).toBe('train')
    expect(seen.seenIn(promptHash('why is that'))).toBe('validation')
    expect(seen.seenIn(promptHash('something new'))).toBeUndefined()
  })

  test.each(['router.onnx', 'head.bin', 'data-hashes.bin'])(
    'refuses one byte changed in %s and names it',
    async (name) => {
      const { path } = await writeBundle(root, sampleDraft())
      const bytes = await readFile(join(path, name))
      bytes[5]! ^= 1
      await writeFile(join(path, name), bytes)
      await expect(readBundle(join(root, 'sample'))).rejects.toMatchObject({
        code: 'bundle_corrupt',
        message: expect.stringContaining(name),
      })
    },
  )

  test('refuses a manifest changed by hand', async () => {
    const { path } = await writeBundle(root, sampleDraft())
    const file = join(path, 'manifest.json')
    await writeFile(file, (await readFile(file, 'utf8')).replace('"value": 0.5', '"value": 0.1'))
    await expect(readBundle(path)).rejects.toMatchObject({ code: 'bundle_corrupt' })
  })

  const faults: [string, (manifest: Manifest) => void, string][] = [
    [
      'a field of another type',
      (m) => Object.assign(m.threshold, { value: 'high' }),
      'threshold.value',
    ],
    ['a missing field', (m) => Reflect.deleteProperty(m, 'calibration'), 'calibration'],
    ['a newer format', (m) => Object.assign(m, { format: 99 }), 'format 1, it has 99'],
    ['no strong candidate', (m) => Object.assign(m.candidates[0]!, { role: 'other' }), 'strong'],
    ['a path out of the bundle', (m) => Object.assign(m.files, { '../x': 'ab' }), '../x'],
    ['a file it does not list', (m) => Reflect.deleteProperty(m.files, 'head.bin'), 'head.bin'],
  ]
  test.each(faults)('refuses %s and names it', async (_, change, named) => {
    const { path, manifest } = await writeBundle(root, sampleDraft())
    const changed = structuredClone(manifest)
    change(changed)
    await writeFile(join(path, 'manifest.json'), JSON.stringify(changed))
    await expect(readBundle(path)).rejects.toMatchObject({
      code: 'bundle_invalid',
      message: expect.stringContaining(named),
    })
  })

  test('tells what is wrong with a folder that is no bundle', async () => {
    await expect(readBundle(join(root, 'none'))).rejects.toMatchObject({ code: 'file_not_found' })
    await expect(readBundle(root)).rejects.toMatchObject({ code: 'bundle_invalid' })
    const { path } = await writeBundle(root, sampleDraft())
    await rm(join(path, 'router.onnx'))
    await expect(readBundle(path)).rejects.toMatchObject({
      code: 'bundle_invalid',
      message: expect.stringContaining('router.onnx'),
    })
    await writeFile(join(path, 'manifest.json'), '{"format": 1')
    await expect(readBundle(path)).rejects.toMatchObject({
      code: 'bundle_invalid',
      message: expect.stringContaining('not JSON'),
    })
  })
})
