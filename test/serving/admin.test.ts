import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { writeBundle } from '../../models/bundle/write.ts'
import { buildAdminApp, localBackend } from '../../serving/server/admin.ts'

import { adminToken } from '../../serving/server/admin-token.ts'
import { WRONG_KEYS_PER_MINUTE } from '../../serving/server/app.ts'
import { createReloader, type Reloader } from '../../serving/server/reloader.ts'
import { sampleDraft } from '../models/sample-bundle.ts'
import { type SampleApp, sampleApp } from './sample-app.ts'

let sample: SampleApp | undefined
let reloader: Reloader | undefined
afterEach(async () => {
  reloader?.close()
  await sample?.close()
})

const TOKEN = 'a-token-of-the-test'
const headers = { authorization: `Bearer ${TOKEN}` }

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
  return buildAdminApp(backend, sample.services, TOKEN)
}

test('the admin port reloads, lists versions and rolls back', async () => {
  const admin = await open()
  const first = sample!.router.manifest.version
  const { manifest } = await writeBundle(sample!.root, sampleDraft({ threshold: 0.9 }))
  const reloaded = await admin.inject({ method: 'POST', url: '/admin/reload', headers })
  expect(reloaded.json().routers).toEqual([
    { name: 'sample', version: manifest.version, replaced: first },
  ])
  expect(notes[0]).toContain(`${manifest.version} serves now, in place of ${first}`)
  expect((await admin.inject({ url: '/admin/routers', headers })).json().data).toMatchObject([
    { name: 'sample', version: manifest.version, versions: [first, manifest.version] },
  ])
  const payload = { router: 'sample', version: first }
  const back = await admin.inject({ method: 'POST', url: '/admin/rollback', headers, payload })
  expect(back.json().routers[0].version).toBe(first)
  const unknown = await admin.inject({
    method: 'POST',
    url: '/admin/rollback',
    headers,
    payload: { router: 'sample', version: 'x' },
  })
  expect(unknown.statusCode).toBe(404)
  expect((await admin.inject({ url: '/metrics', headers })).body).toContain(
    'weir_reloads_total{result="ok"} 2',
  )
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

test('no request without the token does anything, nor one of a web page', async () => {
  const admin = await open()
  const before = sample!.router.manifest.version
  await writeBundle(sample!.root, sampleDraft({ threshold: 0.9 }))
  const refusals: [number, string, object][] = [
    [401, 'admin_token_needed', {}],
    [401, 'admin_token_needed', { authorization: 'Bearer wrong' }],
    [401, 'admin_token_needed', { authorization: TOKEN }],
    [403, 'host_not_allowed', { ...headers, host: 'attacker.example:8081' }],
    [403, 'host_not_allowed', { ...headers, host: '127.0.0.1.attacker.example' }],
    [403, 'host_not_allowed', { ...headers, host: 'localhost@attacker.example' }],
    [403, 'origin_not_allowed', { ...headers, origin: 'https://attacker.example' }],
    [403, 'origin_not_allowed', { ...headers, origin: 'null' }],
    [403, 'origin_not_allowed', { ...headers, origin: 'http://localhost:80' }],
  ]
  for (const [status, code, sent] of refusals) {
    for (const [method, url] of [
      ['POST', '/admin/reload'],
      ['POST', '/admin/rollback'],
      ['GET', '/admin/spend'],
      ['GET', '/admin/routers'],
      ['GET', '/metrics'],
      ['GET', '/nothing'],
    ] as const) {
      const answer = await admin.inject({ method, url, headers: sent as Record<string, string> })
      expect(
        [answer.statusCode, answer.json().error.code],
        `${url} ${JSON.stringify(sent)}`,
      ).toEqual([status, code])
    }
  }
  expect(sample!.services.fleet.snapshot!.routers.get('sample')!.router.manifest.version).toBe(
    before,
  )
  expect((await admin.inject('/health')).statusCode).toBe(200)
  expect((await admin.inject('/ready')).statusCode).toBe(200)
})

test('wrong tokens are told to wait; the right one is served', async () => {
  const admin = await open()
  const ask = async (token: string): Promise<number> =>
    (
      await admin.inject({
        url: '/admin/routers',
        headers: { authorization: `Bearer ${token}` },
      })
    ).statusCode
  for (let i = 0; i < WRONG_KEYS_PER_MINUTE; i++) expect(await ask(`wrong-${i}`)).toBe(401)
  expect(await ask('wrong')).toBe(429)
  expect(await ask(TOKEN)).toBe(200)
})

describe('the token', () => {
  let folder: string
  const before = process.env.XDG_RUNTIME_DIR
  afterEach(async () => {
    if (before === undefined) delete process.env.XDG_RUNTIME_DIR
    else process.env.XDG_RUNTIME_DIR = before
    await rm(folder, { recursive: true })
  })
  const newFolder = async (): Promise<string> => {
    folder = await mkdtemp(join(tmpdir(), 'weir-token-'))
    return folder
  }
  const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777

  test('is written for this user alone, is new with every start, and goes with the server', async () => {
    process.env.XDG_RUNTIME_DIR = await newFolder()
    const first = await adminToken()
    const path = await first.publish(8081)
    expect(path).toBe(join(folder, 'weir', 'admin-8081.token'))
    expect([await modeOf(path), await modeOf(join(folder, 'weir'))]).toEqual([0o600, 0o700])
    expect((await readFile(path, 'utf8')).trim()).toBe(first.token)
    // a killed server leaves its file: the next one's takes its place
    const second = await adminToken()
    expect(second.token).not.toBe(first.token)
    expect(await second.publish(8081)).toBe(path)
    expect((await readFile(path, 'utf8')).trim()).toBe(second.token)
    await second.remove()
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('is not written into a folder that others may use', async () => {
    process.env.XDG_RUNTIME_DIR = await newFolder()
    await mkdir(join(folder, 'weir'))
    await chmod(join(folder, 'weir'), 0o777)
    await expect((await adminToken()).publish(1)).rejects.toThrow('others may use it (mode 777)')
  })

  test('is kept in a file of the operator’s, which not everyone may read', async () => {
    const file = join(await newFolder(), 'token')
    const made = await adminToken(file)
    await made.remove()
    expect(await modeOf(file)).toBe(0o600)
    expect((await adminToken(file)).token).toBe(made.token)
    await chmod(file, 0o640)
    expect((await adminToken(file)).token).toBe(made.token)
    await chmod(file, 0o644)
    await expect(adminToken(file)).rejects.toThrow(
      'not everyone can read (chmod 600), got mode 644',
    )
    await chmod(file, 0o600)
    await writeFile(file, 'short')
    await expect(adminToken(file)).rejects.toThrow('16 to 500 characters')
    await expect(adminToken(folder)).rejects.toThrow('expected a file, got something else')
    await expect(adminToken(join(folder, 'none', 'x'))).rejects.toMatchObject({
      code: 'file_unwritable',
    })
  })
})
