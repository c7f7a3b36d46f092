import { afterEach, expect, test } from 'vitest'
import { writeBundle } from '../../models/bundle/write.ts'
import { buildAdminApp, localBackend } from '../../serving/server/admin.ts'

import { createReloader, type Reloader } from '../../serving/server/reloader.ts'
import { sampleDraft } from '../models/sample-bundle.ts'
import { type SampleApp, sampleApp } from './sample-app.ts'

let sample: SampleApp | undefined
let reloader: Reloader | undefined
afterEach(async () => {
  reloader?.close()
  await sample?.close()
})

const notes: string[] = []
async function open() {
  sample = await sampleApp()
  const { fleet, metrics } = sample.services
  notes.length = 0
  reloader = createReloader({
    fleet,
    onReload: (result) => metrics!.reload(result),
    onNote: (message, error) =>
      notes.push(`${message} ${(error as Error | undefined)?.message ?? ''}`),
  })
  const backend = localBackend(fleet, reloader, () => metrics!.registry.metrics())
  return buildAdminApp(backend, sample.services)
}

test('the admin port reloads, lists versions and rolls back', async () => {
  const admin = await open()
  const first = sample!.router.manifest.version
  const { manifest } = await writeBundle(sample!.root, sampleDraft({ threshold: 0.9 }))
  const reloaded = await admin.inject({ method: 'POST', url: '/admin/reload' })
  expect(reloaded.json().routers).toEqual([
    { name: 'sample', version: manifest.version, replaced: first },
  ])
  expect(notes[0]).toContain(`${manifest.version} serves now, in place of ${first}`)
  expect((await admin.inject('/admin/routers')).json().data).toMatchObject([
    { name: 'sample', version: manifest.version, versions: [first, manifest.version] },
  ])
  const payload = { router: 'sample', version: first }
  const back = await admin.inject({ method: 'POST', url: '/admin/rollback', payload })
  expect(back.json().routers[0].version).toBe(first)
  const unknown = await admin.inject({
    method: 'POST',
    url: '/admin/rollback',
    payload: { router: 'sample', version: 'x' },
  })
  expect(unknown.statusCode).toBe(404)
  expect((await admin.inject('/metrics')).body).toContain('weir_reloads_total{result="ok"} 2')
})

test('a refused reload is told loudly and counted', async () => {
  await open()
  const draft = sampleDraft({ threshold: 0.9 })
  await writeBundle(sample!.root, {
    ...draft,
    files: new Map([...draft.files, ['head.bin', new Uint8Array(4)]]),
  })
  reloader!.trigger('SIGHUP')
  await expect.poll(() => notes.at(-1)).toContain('reload refused, what was loaded serves on')
  expect(await sample!.services.metrics!.registry.metrics()).toContain(
    'weir_reloads_total{result="refused"} 1',
  )
})

test('--watch reloads when `current` points elsewhere, and tries a refused version once', async () => {
  await open()
  reloader!.watch(5)
  const { manifest } = await writeBundle(sample!.root, sampleDraft({ threshold: 0.9 }))
  await expect
    .poll(() => sample!.services.fleet.snapshot!.routers.get('sample')!.router.manifest.version)
    .toBe(manifest.version)
  const draft = sampleDraft({ threshold: 0.8 })
  await writeBundle(sample!.root, {
    ...draft,
    files: new Map([...draft.files, ['head.bin', new Uint8Array(4)]]),
  })
  const refusals = () => notes.filter((note) => note.startsWith('reload refused')).length
  await expect.poll(refusals).toBe(1)
  await new Promise((resolve) => setTimeout(resolve, 30))
  expect(refusals()).toBe(1)
})

test('the public port knows nothing of admin', async () => {
  await open()
  const response = await sample!.app.inject({ method: 'POST', url: '/admin/reload' })
  expect(response.statusCode).toBe(404)
})
