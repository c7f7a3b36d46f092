import { readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import {
  newSigningKey,
  parseSigningKey,
  SIGNATURE_FILE,
  signManifest,
} from '../../../../models/bundle/signature.ts'
import { pointCurrent, writeBundle } from '../../../../models/bundle/write.ts'
import type { Router } from '../../../../models/router.ts'
import { readHistory, readRollout, writeRollout } from '../../../../records/rollout.ts'
import { createFleet } from '../../../../serving/router/fleet.ts'
import { sampleDraft } from '../../../models/sample-bundle.ts'
import { loadSample, type SampleApp, sampleApp } from '../../sample-app.ts'

let sample: SampleApp
afterEach(() => sample.close())

const route = async (body: object = {}) =>
  (
    await sample.app.inject({ method: 'POST', url: '/route', payload: { prompt: 'why', ...body } })
  ).json()

describe('reload', () => {
  test('takes a new version and leaves an unchanged router alone', async () => {
    sample = await sampleApp({ bundles: [{ name: 'a' }, { name: 'b' }] })
    const before = sample.services.fleet.snapshot!
    const { manifest } = await writeBundle(sample.root, sampleDraft({ name: 'a', threshold: 0.9 }))
    const report = await sample.services.fleet.reload()
    expect(report.routers).toEqual([
      {
        name: 'a',
        version: manifest.version,
        replaced: before.routers.get('a')!.router.manifest.version,
      },
      { name: 'b', version: before.routers.get('b')!.router.manifest.version },
    ])
    expect(sample.services.fleet.snapshot!.routers.get('b')).toBe(before.routers.get('b'))
    expect(await route({ router: 'a' })).toMatchObject({
      threshold: 0.9,
      router: { version: manifest.version },
    })
  })

  test('refuses a bundle with one byte changed, and the old one serves on', async () => {
    sample = await sampleApp()
    const old = sample.router.manifest.version
    const { path } = await writeBundle(sample.root, sampleDraft({ threshold: 0.9 }))
    const bytes = await readFile(join(path, 'head.bin'))
    bytes[0]! ^= 1
    await writeFile(join(path, 'head.bin'), bytes)
    await expect(sample.services.fleet.reload()).rejects.toMatchObject({ code: 'bundle_corrupt' })
    expect((await route()).router.version).toBe(old)
  })

  test('refuses a bundle whose folded head is not its ONNX graph', async () => {
    sample = await sampleApp()
    const draft = sampleDraft({ threshold: 0.9 })
    const other = sampleDraft({ link: 'pair', seed: 9 })
    const head = Buffer.from(other.files.get('head.bin')!)
    head.writeFloatLE(7, 0)
    await writeBundle(sample.root, {
      ...draft,
      files: new Map([...draft.files, ['head.bin', head]]),
    })
    await expect(sample.services.fleet.reload()).rejects.toMatchObject({
      code: 'bundle_refused',
      message: expect.stringContaining('differ by'),
    })
  })

  test('refuses such a bundle at the first start, too', async () => {
    sample = await sampleApp()
    const draft = sampleDraft({ name: 'unlike' })
    const head = Buffer.from(draft.files.get('head.bin')!)
    head.writeFloatLE(7, 0)
    await writeBundle(sample.root, {
      ...draft,
      files: new Map([...draft.files, ['head.bin', head]]),
    })
    const routers = [{ path: join(sample.root, 'unlike') }]
    const fleet = createFleet({ routers }, { load: loadSample })
    await expect(fleet.reload()).rejects.toMatchObject({ code: 'bundle_refused' })
    expect(fleet.snapshot).toBeUndefined()
  })

  test('refuses a version that sends a golden prompt elsewhere', async () => {
    sample = await sampleApp({
      config: (root) => ({
        routers: [{ path: join(root, 'sample'), golden: join(root, 'golden.jsonl') }],
      }),
      services: {
        load: async (path) => {
          await writeFile(
            join(path, '../../golden.jsonl'),
            '{"prompt": "prove the integral", "expect": "big"}\n\n{"prompt": "hello hello", "expect": "small"}\n',
          )
          return loadSample(path)
        },
      },
    })
    await writeBundle(sample.root, sampleDraft({ threshold: 0.999 }))
    await expect(sample.services.fleet.reload()).rejects.toMatchObject({
      code: 'bundle_refused',
      message: expect.stringContaining('golden.jsonl:1: expected big, it chose small'),
    })
  })

  test('closes a version that was replaced, and only once its last request has let go', async () => {
    const closed: string[] = []
    let held: (() => void) | undefined
    sample = await sampleApp({
      config: () => ({ deadline_ms: 0, cache_entries: 0 }),
      services: {
        load: async (path): Promise<Router> => {
          const router = await loadSample(path)
          return {
            ...router,
            score: async (prompts, signal) => {
              if (prompts[0] === 'slow')
                await new Promise<void>((resolve) => {
                  held = resolve
                })
              return router.score(prompts, signal)
            },
            close: async () => void closed.push(router.manifest.version),
          }
        },
      },
    })
    const old = sample.router.manifest.version
    const slow = route({ prompt: 'slow' })
    await expect.poll(() => held).toBeDefined()
    await writeBundle(sample.root, sampleDraft({ threshold: 0.9 }))
    await sample.services.fleet.reload()
    expect(closed).toEqual([])
    expect((await route()).router.version).not.toBe(old)
    held!()
    expect((await slow).router.version).toBe(old)
    expect(closed).toEqual([old])
  })

  // a hundred of them: scripts/bench/reload.ts
  test('reloads under load lose no request and mix no versions', async () => {
    sample = await sampleApp()
    const thresholds = new Map([[sample.router.manifest.version, 0.5]])
    let done = false
    let answered = 0
    const wrong: unknown[] = []
    const client = async (): Promise<void> => {
      while (!done) {
        const body = await route({ prompt: `why ${answered % 50}` })
        answered++
        if (body.threshold !== thresholds.get(body.router?.version)) wrong.push(body)
      }
    }
    const clients = Array.from({ length: 8 }, client)
    for (let i = 0; i < 8; i++) {
      const threshold = 0.1 + (i % 7) / 10
      const { manifest } = await writeBundle(sample.root, sampleDraft({ threshold }))
      thresholds.set(manifest.version, threshold)
      await sample.services.fleet.reload()
    }
    done = true
    await Promise.all(clients)
    expect(wrong).toEqual([])
    expect(answered).toBeGreaterThan(50)
  })
})

describe('rollback', () => {
  test('goes back to a kept version and stays there', async () => {
    sample = await sampleApp()
    const first = sample.router.manifest.version
    const second = (await writeBundle(sample.root, sampleDraft({ threshold: 0.9 }))).manifest
      .version
    await sample.services.fleet.reload()
    expect(await sample.services.fleet.versions('sample')).toEqual([first, second])
    const report = await sample.services.fleet.rollback('sample')
    expect(report.routers).toEqual([{ name: 'sample', version: first, replaced: second }])
    await sample.services.fleet.reload()
    expect((await route()).router.version).toBe(first)
    await sample.services.fleet.rollback('sample', second)
    expect((await route()).router.version).toBe(second)
    await expect(
      sample.services.fleet.rollback('sample', 'ffffffffffffffff'),
    ).rejects.toMatchObject({
      code: 'version_unknown',
    })
    await expect(sample.services.fleet.rollback('nobody')).rejects.toMatchObject({
      code: 'router_unknown',
    })
    const home = join(sample.root, 'sample')
    expect(
      (await readHistory(home)).map(({ event, version, serving }) => [event, version, serving]),
    ).toEqual([
      ['rollback', first, second],
      ['rollback', second, first],
    ])
  })

  test('of a version that cannot be loaded is undone, and the history says both', async () => {
    sample = await sampleApp()
    const { path, manifest } = await writeBundle(sample.root, sampleDraft({ threshold: 0.9 }))
    const [home, serving] = [join(sample.root, 'sample'), sample.router.manifest.version]
    await pointCurrent(home, serving)
    await writeFile(join(path, 'head.bin'), 'damaged')
    await writeRollout(home, { version: serving, stage: 'shadow' })
    await expect(sample.services.fleet.rollback('sample', manifest.version)).rejects.toMatchObject({
      code: 'bundle_corrupt',
    })
    expect(basename(await readlink(join(home, 'current')))).toBe(serving)
    expect(await readRollout(home)).toMatchObject({ version: serving })
    expect((await readHistory(home)).map((one) => [one.version, one.reason])).toEqual([
      [manifest.version, 'asked for on the admin port'],
      [serving, `${manifest.version} could not be loaded`],
    ])
    expect(await readdir(home)).not.toContain('pending.json')
  })

  test('completes what a killed server had begun, before it begins its own', async () => {
    sample = await sampleApp()
    const { manifest } = await writeBundle(sample.root, sampleDraft({ threshold: 0.9 }))
    await sample.services.fleet.reload()
    const [home, first] = [join(sample.root, 'sample'), sample.router.manifest.version]
    const event = {
      ...{ time: '2026-01-01T00:00:00Z', event: 'rollback' },
      ...{ version: first, serving: manifest.version, reason: 'alarm: quality' },
    }
    // killed after it wrote down the change and pointed `current`: the history misses its line
    await writeFile(join(home, 'pending.json'), `${JSON.stringify({ event, current: first })}\n`)
    await pointCurrent(home, first)
    await sample.services.fleet.reload()
    await sample.services.fleet.rollback('sample', manifest.version)
    expect((await readHistory(home)).map(({ version }) => version)).toEqual([
      first,
      manifest.version,
    ])
    expect((await route()).router.version).toBe(manifest.version)
  })
})

describe('a required signature', () => {
  const key = newSigningKey()
  const sign = async (folder: string, { privateKey } = key): Promise<void> => {
    const manifest = await readFile(join(folder, 'manifest.json'))
    const text = signManifest(manifest, parseSigningKey(privateKey, 'key'))
    await writeFile(join(folder, SIGNATURE_FILE), text)
  }

  test('holds at the start, at a reload, at a rollback and for a version that is rolled out', async () => {
    sample = await sampleApp()
    const { root } = sample
    const unsigned = sample.router.path
    const config = {
      routers: [{ path: join(root, 'sample') }],
      require_signature: [key.publicKey],
    }
    const fleet = createFleet(config, { load: loadSample })
    await expect(fleet.reload()).rejects.toMatchObject({ code: 'signature_missing' })

    const { path, manifest } = await writeBundle(root, sampleDraft({ threshold: 0.9 }))
    await sign(path)
    await fleet.reload()
    const serving = () => fleet.snapshot!.routers.get('sample')!.router.manifest.version
    expect(serving()).toBe(manifest.version)
    expect(fleet.snapshot!.routers.get('sample')!.router.signedBy).toBe(key.publicKey)

    await expect(fleet.rollback('sample', basename(unsigned))).rejects.toMatchObject({
      code: 'signature_missing',
    })
    expect(serving()).toBe(manifest.version)
    expect(await readlink(join(root, 'sample', 'current'))).toBe(manifest.version)

    const next = await writeBundle(root, sampleDraft({ threshold: 0.8 }))
    await sign(next.path, newSigningKey())
    await expect(fleet.reload()).rejects.toMatchObject({ code: 'signer_unknown' })
    expect(serving()).toBe(manifest.version)

    await pointCurrent(join(root, 'sample'), manifest.version)
    await writeRollout(join(root, 'sample'), { version: next.manifest.version, stage: 'shadow' })
    await expect(fleet.reload()).rejects.toMatchObject({ code: 'signer_unknown' })
    await sign(next.path)
    await fleet.reload()
    expect(fleet.snapshot!.staged.get('sample')!.live.router.signedBy).toBe(key.publicKey)
    fleet.close()
  })
})
