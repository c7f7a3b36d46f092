import { createReadStream } from 'node:fs'
import { cp, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { readBundle } from '../../../../models/bundle/read.ts'
import { bundlePlace } from '../../../../models/bundle/remote/place.ts'
import { cacheHome, isRemote, parseReference } from '../../../../models/bundle/remote/reference.ts'
import {
  type PullOptions,
  pullBundle,
  pushBundle,
} from '../../../../models/bundle/remote/transfer.ts'
import {
  newSigningKey,
  parseSigningKey,
  SIGNATURE_FILE,
  signManifest,
} from '../../../../models/bundle/signature.ts'
import { pointCurrent, writeBundle } from '../../../../models/bundle/write.ts'
import { createFleet } from '../../../../serving/router/fleet.ts'
import { loadSample } from '../../../serving/sample-app.ts'
import { hasRegistry, registryServer } from '../../../stores.ts'
import { sampleDraft } from '../../sample-bundle.ts'

const ours = newSigningKey()
const signers = [ours.publicKey]

let root: string
let home: string
let cache: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-remote-'))
  cache = join(root, 'cache')
  home = join(root, 'sample')
  await writeBundle(root, sampleDraft())
})
afterEach(() => rm(root, { recursive: true }))

const environment = {
  AWS_ACCESS_KEY_ID: 'S3RVER',
  AWS_SECRET_ACCESS_KEY: 'S3RVER',
  HOME: '/nonexistent',
}
const refer = (text: string) => parseReference(text, 'routers.path')
const pull = (place: string, options: Partial<PullOptions> = {}) =>
  pullBundle(refer(place), { cache, environment, ...options })
const push = (place: string, options: Partial<PullOptions> = {}, from = home) =>
  pushBundle(from, refer(place), { environment, ...options })

async function sign(at = home): Promise<void> {
  const { path } = await readBundle(at)
  const bytes = await readFile(join(path, 'manifest.json'))
  await writeFile(
    join(path, SIGNATURE_FILE),
    signManifest(bytes, parseSigningKey(ours.privateKey, 'key')),
  )
}

/** Another version of the same bundle, which becomes the current one. */
const another = (threshold: number) => writeBundle(root, sampleDraft({ threshold }))

async function listening(answer: RequestListener): Promise<Server & { readonly base: string }> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return Object.assign(server, { base: `http://127.0.0.1:${port}` })
}

const closed = (server: Server): Promise<unknown> => {
  server.closeAllConnections()
  return new Promise((resolve) => server.close(resolve))
}

/** A web server of the folder `root`. */
const files: RequestListener = async ({ url }, answer) => {
  const path = join(root, decodeURIComponent(url!))
  if ((await stat(path).catch(() => undefined))?.isFile()) createReadStream(path).pipe(answer)
  else answer.writeHead(404).end()
}

interface Place {
  readonly name: string
  readonly available: boolean
  open(): Promise<{ place: string; close(): Promise<unknown> }>
  readonly pushes: boolean
}

const places: Place[] = [
  {
    name: 'a registry',
    available: hasRegistry,
    pushes: true,
    async open() {
      const registry = await registryServer()
      return { place: `oci://${registry.host}/routers/sample:prod`, close: () => registry.close() }
    },
  },
  {
    name: 'a bucket',
    available: true,
    pushes: true,
    async open() {
      // without types of its own
      const module = '@20minutes/s3rver'
      const { default: S3rver } = (await import(module)) as {
        default: new (options: object) => { run(): Promise<AddressInfo>; close(): Promise<void> }
      }
      const server = new S3rver({
        address: '127.0.0.1',
        port: 0,
        silent: true,
        directory: await mkdtemp(join(tmpdir(), 'weir-s3-')),
        configureBuckets: [{ name: 'models', configs: [] }],
      })
      const { port } = await server.run()
      vi.stubEnv('AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED', 'true')
      Object.assign(environment, { AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}` })
      return {
        place: 's3://models/routers/sample',
        close: () => {
          vi.unstubAllEnvs()
          return server.close()
        },
      }
    },
  },
  {
    name: 'a web server',
    available: true,
    pushes: false,
    async open() {
      const server = await listening(files)
      return { place: `${server.base}/sample`, close: () => closed(server) }
    },
  },
]

describe.each(places)('$name', ({ available, open, pushes }) => {
  let place: string
  let close: () => Promise<unknown>
  beforeAll(async () => {
    if (available) ({ place, close } = await open())
  })
  afterAll(() => close?.())
  /** Brings the current version to the place; a web server has the folder itself. */
  const publish = async (): Promise<string | undefined> =>
    pushes ? (await push(place)).digest : undefined

  test.runIf(available)(
    'gives a bundle, whole and signed, and the next one once it is there',
    async () => {
      await sign()
      await publish()
      const first = await pull(place, { signers })
      expect(first).toMatchObject({ moved: true, home: cacheHome(cache, refer(place)) })
      const [got, own] = [await readBundle(first.home, { signers }), await readBundle(home)]
      expect(got.manifest).toEqual(own.manifest)
      expect(await got.file('router.onnx')).toEqual(await own.file('router.onnx'))
      expect(await pull(place, { signers })).toEqual({ ...first, moved: false })

      await another(0.3)
      await sign()
      await publish()
      const second = await pull(place, { signers })
      expect(second).toMatchObject({
        moved: true,
        version: (await readBundle(home)).manifest.version,
      })
      expect(await readlink(join(second.home, 'current'))).toBe(second.version)
      // an operator who goes back stays there until the place moves on
      await pointCurrent(second.home, first.version)
      expect(await pull(place, { signers })).toMatchObject({ version: first.version, moved: false })
    },
  )

  test.runIf(available)(
    'gives nothing that was not signed by the right key, and keeps what it had',
    async () => {
      await sign()
      await publish()
      const { version, home: kept } = await pull(place, { signers })
      await another(0.4)
      await publish()
      await expect(pull(place, { signers })).rejects.toMatchObject({ code: 'signature_missing' })
      expect((await readBundle(kept)).manifest.version).toBe(version)
      expect((await readdir(kept)).filter((name) => name.includes('partial'))).toEqual([])
      // once it is signed it comes, though its files are the same
      await sign()
      await publish()
      expect((await pull(place, { signers })).version).not.toBe(version)
    },
  )

  test.runIf(available)('gives what a digest names, and nothing else', async () => {
    const digest = (await publish()) ?? (await pinOf(home))
    const pinned = `${place}@${digest}`
    const first = await pull(pinned)
    await another(0.45)
    await publish()
    expect(await pull(pinned)).toEqual({ ...first, moved: false })
    await rm(cache, { recursive: true })
    if (place.startsWith('oci')) expect((await pull(pinned)).version).toBe(first.version)
    else await expect(pull(pinned)).rejects.toMatchObject({ code: 'bundle_corrupt' })
  })

  test.runIf(available)('says what is missing', async () => {
    const nowhere = place.replace(/sample/, 'other')
    await expect(pull(nowhere)).rejects.toMatchObject({ code: 'bundle_unavailable' })
  })
})

async function pinOf(folder: string): Promise<string> {
  const { createHash } = await import('node:crypto')
  const bytes = await readFile(join(folder, 'current', 'manifest.json'))
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

describe('a registry', () => {
  test.runIf(hasRegistry)(
    'is not sent again what it has, and gives one version one digest',
    async () => {
      const registry = await registryServer()
      try {
        const base = `oci://${registry.host}/team/sample`
        const first = await push(`${base}:one`)
        const again = await push(`${base}:two`)
        expect(first).toMatchObject({
          name: 'sample',
          signed: false,
          digest: expect.stringMatching(/^sha256:/),
        })
        expect(first.uploaded).toBeGreaterThan(3)
        expect(again).toMatchObject({ digest: first.digest, uploaded: 0 })
        await expect(push(`${base}:two@${first.digest}`)).rejects.toMatchObject({
          code: 'option_invalid',
        })
      } finally {
        await registry.close()
      }
    },
  )

  test.runIf(hasRegistry)('asks for a password, which docker login or a variable has', async () => {
    // htpasswd -Bbn weir secret
    const registry = await registryServer(
      'weir:$2b$04$4sGhoC/sS.FKp7Ni7GF7r.cUZc6hFy7k2BLjIh/YgxPGu3OweiD3u\n',
    )
    const place = `oci://${registry.host}/team/sample`
    try {
      await expect(push(place)).rejects.toMatchObject({
        code: 'bundle_unavailable',
        message: expect.stringContaining('it wants a key'),
      })
      await push(place, { key: 'weir:secret' })
      const auth = Buffer.from('weir:secret').toString('base64')
      await writeFile(
        join(root, 'config.json'),
        JSON.stringify({ auths: { [registry.host]: { auth } } }),
      )
      expect(await pull(place, { environment: { DOCKER_CONFIG: root } })).toMatchObject({
        moved: true,
      })
    } finally {
      await registry.close()
    }
  })

  test('gets the password at its token service only, and the token in its place', async () => {
    const seen: string[] = []
    const server = await listening(({ url, headers }, answer) => {
      const { authorization = 'none' } = headers
      seen.push(`${url?.replace(/\?.*/, '')} ${authorization}`)
      const { host } = headers
      if (url?.startsWith('/token')) answer.end('{"token": "T"}')
      else if (authorization !== 'Bearer T') {
        const challenge = `Bearer realm="http://${host}/token",service="s",scope="repository:a:pull"`
        answer.writeHead(401, { 'www-authenticate': challenge }).end()
      } else answer.writeHead(404).end()
    })
    const place = `${server.base.replace('http', 'oci')}/a`
    await expect(pull(place, { key: 'u:p' })).rejects.toMatchObject({ code: 'bundle_unavailable' })
    expect(seen).toEqual([
      '/v2/a/manifests/latest none',
      `/token Basic ${Buffer.from('u:p').toString('base64')}`,
      '/v2/a/manifests/latest Bearer T',
    ])
    await closed(server)
  })
})

describe('a web server', () => {
  test('that sends other bytes than the manifest lists is refused, and leaves nothing behind', async () => {
    let broken = ''
    const server = await listening((request, answer) => {
      if (request.url?.endsWith('router.onnx')) {
        if (broken === 'short')
          answer.writeHead(200, { 'content-length': '99999' }).write('abc', () => answer.destroy())
        else answer.end('something else')
      } else files(request, answer)
    })
    const place = `${server.base}/sample`
    await expect(pull(place)).rejects.toMatchObject({ code: 'bundle_corrupt' })
    broken = 'short'
    await expect(pull(place)).rejects.toMatchObject({ code: 'bundle_unavailable' })
    expect(await readdir(cacheHome(cache, refer(place)))).toEqual([])
    await closed(server)
  })

  test('that redirects elsewhere does not take the key along', async () => {
    const seen: (string | undefined)[] = []
    const other = await listening((request, answer) => {
      seen.push(request.headers.authorization)
      files(request, answer)
    })
    const server = await listening(({ url, headers }, answer) => {
      expect(headers.authorization).toBe('Bearer K')
      answer.writeHead(302, { location: `${other.base}${url}?signed=1` }).end()
    })
    // its query is not a file's name
    const strip: RequestListener = ({ url }, answer) =>
      files({ url: url!.replace(/\?.*/, '') } as never, answer)
    other.removeAllListeners('request')
    other.on('request', (request, answer) => {
      seen.push(request.headers.authorization)
      strip(request, answer)
    })
    expect(await pull(`${server.base}/sample`, { key: 'K' })).toMatchObject({ moved: true })
    expect(new Set(seen)).toEqual(new Set([undefined]))
    await closed(server)
    await closed(other)
  })

  test('may serve one version alone', async () => {
    const server = await listening(files)
    const { path, manifest } = await readBundle(home)
    await cp(path, join(root, 'alone'), { recursive: true })
    expect((await pull(`${server.base}/alone`)).version).toBe(manifest.version)
    expect((await pull(`${server.base}/sample/${manifest.version}`)).version).toBe(manifest.version)
    await closed(server)
  })
})

describe('a place of a server', () => {
  test('serves what it fetched while the place is gone, and says so once', async () => {
    let server = await listening(files)
    const { port } = server.address() as AddressInfo
    const warnings: string[] = []
    const place = bundlePlace(`${server.base}/sample`, undefined, {
      cache,
      environment,
      pollMs: 0,
      onWarning: (message) => warnings.push(message),
    })
    await place.refresh(false)
    const { version } = (await readBundle(place.path)).manifest
    await closed(server)
    await place.poll()
    await place.poll()
    await place.refresh(true)
    expect((await readBundle(place.path)).manifest.version).toBe(version)
    expect(warnings).toHaveLength(1)
    await another(0.35)
    server = await listening(files)
    await closed(server)
    server = createServer(files) as typeof server
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    await place.poll()
    expect((await readBundle(place.path)).manifest.version).not.toBe(version)
    expect(warnings[1]).toContain('can be read again')
    await closed(server)
  })

  test('is a router of a fleet: a version that arrives there is loaded, and gone back from for good', async () => {
    const server = await listening(files)
    const fleet = createFleet(
      {
        routers: [{ path: `${server.base}/sample` }],
        require_signature: signers,
        bundle_cache: cache,
        bundle_refresh_seconds: 0,
      },
      { load: loadSample, environment },
    )
    await sign()
    await fleet.reload()
    const { version } = fleet.snapshot!.routers.get('sample')!.router.manifest
    expect(await fleet.changed()).toEqual([])
    // not signed yet: nothing moves, and whoever asks is told
    await another(0.3)
    expect(await fleet.changed()).toEqual([])
    await expect(fleet.reload()).rejects.toMatchObject({ code: 'signature_missing' })
    await sign()
    expect(await fleet.changed()).toHaveLength(1)
    const { routers } = await fleet.reload()
    expect(routers).toEqual([{ name: 'sample', version: expect.any(String), replaced: version }])
    await fleet.rollback('sample')
    expect(fleet.snapshot!.routers.get('sample')!.router.manifest.version).toBe(version)
    expect(await fleet.changed()).toEqual([])
    fleet.close()
    await closed(server)
  })

  test('stops a start if nothing was ever fetched, and one without its key', async () => {
    const settings = { cache, environment, pollMs: 0, onWarning: () => {} }
    const gone = bundlePlace('http://127.0.0.1:9/sample', undefined, settings)
    await expect(gone.refresh(false)).rejects.toMatchObject({ code: 'bundle_unavailable' })
    const keyless = bundlePlace('http://127.0.0.1:9/sample', 'NO_SUCH', settings)
    await expect(keyless.refresh(false)).rejects.toMatchObject({ code: 'config_invalid' })
  })
})

describe('a reference', () => {
  test.each([
    [
      'oci://ghcr.io/a/b',
      { origin: 'https://ghcr.io', repository: 'a/b', tag: 'latest', plain: false },
    ],
    ['oci://r:5000/a:v1', { origin: 'https://r:5000', repository: 'a', tag: 'v1' }],
    ['oci://localhost:5000/a', { origin: 'http://localhost:5000', plain: false }],
    ['oci+http://registry.svc/a', { origin: 'http://registry.svc', plain: true }],
    [`oci://r/a@sha256:${'a'.repeat(64)}`, { tag: 'latest', digest: `sha256:${'a'.repeat(64)}` }],
    ['s3://models/a/b/', { bucket: 'models', prefix: 'a/b' }],
    ['https://h/a/', { url: 'https://h/a', plain: false }],
    ['http://h/a', { plain: true }],
  ])('%s is read', (text, expected) => {
    expect(isRemote(text)).toBe(true)
    expect(refer(text)).toMatchObject(expected)
  })

  test.each([
    'oci://r',
    'oci://r/',
    'oci://r/A/b',
    'oci://r/a:b:c',
    'oci://r/../a',
    'oci://u:p@r/a',
    'oci://r/a@sha256:12',
    's3://models',
    's3://M/a',
    'https://u:secret@h/a',
    'https://h/a?b',
    'https://',
    '',
  ])('%s is refused', (text) => {
    let message = ''
    expect(() => {
      try {
        refer(text)
      } catch (error) {
        message = String(error)
        throw error
      }
    }).toThrow(expect.objectContaining({ code: 'config_invalid' }))
    expect(message).not.toContain('secret')
  })

  test('without TLS needs a digest or a signature', async () => {
    await expect(pull('http://bundles.invalid/a')).rejects.toMatchObject({ code: 'config_invalid' })
    await expect(pull('http://bundles.invalid/a', { signers })).rejects.toMatchObject({
      code: 'bundle_unavailable',
    })
    // of a bucket, the operator's endpoint says it
    const elsewhere = { ...environment, AWS_ENDPOINT_URL_S3: 'http://bucket.invalid:9000' }
    await expect(pull('s3://models/a', { environment: elsewhere })).rejects.toMatchObject({
      code: 'config_invalid',
    })
  })

  test('on this machine is none', () => {
    for (const path of ['bundles/demo', '/a', './oci', 'C:\\a']) expect(isRemote(path)).toBe(false)
  })
})
