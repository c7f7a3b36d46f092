import { WeirError } from '../../../core/errors.ts'
import type { OutgoingResponse } from '../../../core/outgoing.ts'
import { sha256 } from '../read.ts'
import { SIGNATURE_FILE } from '../signature.ts'
import { bytesOf, type RemoteCall, remoteCall, statusReason, unavailable } from './http.ts'
import type { BundleReference } from './reference.ts'
import {
  type BundleStore,
  type LocalVersion,
  MAX_MANIFEST_BYTES,
  MAX_SIGNATURE_BYTES,
  type Pushed,
  type RemoteVersion,
} from './store.ts'

// A bundle in a registry is an artifact (OCI image spec 1.1): one layer for each file, whose name is the annotation
// that ORAS uses, so that `oras pull` gets the same files.
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const ARTIFACT_TYPE = 'application/vnd.weir.bundle.v1'
const FILE_TYPE = 'application/vnd.weir.bundle.file.v1'
const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json'
const TITLE = 'org.opencontainers.image.title'
const EMPTY = new TextEncoder().encode('{}')

interface Descriptor {
  readonly mediaType?: string
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

/** A bundle in an OCI registry. @param credentials `user:password`, if the registry asks for them */
export function ociStore(
  reference: Extract<BundleReference, { kind: 'oci' }>,
  credentials: string | undefined,
): BundleStore {
  const { origin, repository, tag, digest } = reference
  const base = `${origin}/v2/${repository}`
  let authorization: string | undefined

  const call = async (
    url: string,
    options: RemoteCall,
    actions = 'pull',
  ): Promise<OutgoingResponse> => {
    const own = new URL(url).origin === origin
    const response = await remoteCall(url, { ...options, ...(own && { authorization }) })
    const challenge = response.headers.get('www-authenticate')
    if (response.status !== 401 || !own || challenge === null) return response
    await response.body?.cancel()
    const scope = `repository:${repository}:${actions}`
    authorization = await authorize(url, challenge, scope, credentials, options.signal)
    return remoteCall(url, { ...options, authorization })
  }
  const expectOk = async (response: OutgoingResponse, url: string): Promise<OutgoingResponse> => {
    if (response.ok) return response
    await response.body?.cancel()
    throw unavailable(url, statusReason(response.status))
  }
  const manifestUrl = (which: string): string => `${base}/manifests/${which}`
  const manifestCall = (
    method: 'GET' | 'HEAD',
    signal?: AbortSignal,
  ): Promise<OutgoingResponse> => {
    const url = manifestUrl(digest ?? tag)
    return call(url, { method, headers: { accept: MANIFEST_TYPE }, signal }).then((response) =>
      expectOk(response, url),
    )
  }
  const blob = async (
    { digest: wanted }: Descriptor,
    signal?: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> => {
    const url = `${base}/blobs/${wanted}`
    const response = await expectOk(await call(url, { signal }), url)
    return (response.body ?? []) as AsyncIterable<Uint8Array>
  }
  const smallBlob = async (
    of: Descriptor,
    most: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array> => {
    const bytes = await bytesOf(await blob(of, signal), `${base}/blobs/${of.digest}`, most)
    assertDigest(bytes, of.digest, `${base}/blobs/${of.digest}`)
    return bytes
  }

  return {
    async identity(signal) {
      if (digest !== undefined) return digest
      const response = await manifestCall('HEAD', signal)
      await response.body?.cancel()
      const told = response.headers.get('docker-content-digest')
      if (told !== null) return told
      const whole = await manifestCall('GET', signal)
      const bytes = await bytesOf(bodyOf(whole), manifestUrl(tag), MAX_MANIFEST_BYTES)
      return `sha256:${sha256(bytes)}`
    },
    async open(signal): Promise<RemoteVersion> {
      const url = manifestUrl(digest ?? tag)
      const response = await manifestCall('GET', signal)
      const bytes = await bytesOf(bodyOf(response), url, MAX_MANIFEST_BYTES)
      if (digest !== undefined) assertDigest(bytes, digest, url)
      const layers = layersOf(bytes, url)
      const needed = (name: string): Descriptor => {
        const layer = layers.get(name)
        if (!layer) throw unavailable(url, `it holds no ${name}: expected a bundle of weir push`)
        return layer
      }
      const signature = layers.get(SIGNATURE_FILE)
      return {
        identity: `sha256:${sha256(bytes)}`,
        manifestBytes: await smallBlob(needed('manifest.json'), MAX_MANIFEST_BYTES, signal),
        signatureBytes: signature && (await smallBlob(signature, MAX_SIGNATURE_BYTES, signal)),
        file: async (name) => blob(needed(name), signal),
      }
    },
    async push(version, onFile, signal): Promise<Pushed> {
      let uploaded = 0
      let kept = 0
      const upload = async (bytes: Uint8Array): Promise<string> => {
        const name = `sha256:${sha256(bytes)}`
        const there = await call(`${base}/blobs/${name}`, { method: 'HEAD', signal }, 'pull,push')
        await there.body?.cancel()
        if (there.ok) {
          kept++
          return name
        }
        const started = `${base}/blobs/uploads/`
        const session = await call(started, { method: 'POST', signal }, 'pull,push')
        await expectOk(session, started)
        await session.body?.cancel()
        const location = session.headers.get('location')
        if (location === null) throw unavailable(started, 'it names no address to upload to')
        const target = new URL(location, started)
        target.searchParams.set('digest', name)
        const headers = { 'content-type': 'application/octet-stream' }
        const put = await call(
          target.href,
          { method: 'PUT', headers, body: bytes, signal },
          'pull,push',
        )
        await expectOk(put, target.href)
        await put.body?.cancel()
        uploaded++
        return name
      }
      const layers: Descriptor[] = []
      for (const [name, read] of filesOf(version)) {
        onFile(name)
        const bytes = await read()
        layers.push({
          mediaType: FILE_TYPE,
          digest: await upload(bytes),
          size: bytes.length,
          annotations: { [TITLE]: name },
        })
      }
      const config = { mediaType: EMPTY_TYPE, digest: await upload(EMPTY), size: EMPTY.length }
      // without a date, so that the same version has the same digest wherever it is pushed
      const manifest = JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST_TYPE,
        artifactType: ARTIFACT_TYPE,
        config,
        layers,
        annotations: {
          [TITLE]: version.manifest.name,
          'org.opencontainers.image.version': version.manifest.version,
        },
      })
      const url = manifestUrl(tag)
      const headers = { 'content-type': MANIFEST_TYPE }
      const put = await call(url, { method: 'PUT', headers, body: manifest, signal }, 'pull,push')
      await expectOk(put, url)
      await put.body?.cancel()
      return { digest: `sha256:${sha256(manifest)}`, uploaded, kept }
    },
  }
}

/** The files of a version by their names, manifest and signature last. */
function* filesOf(version: LocalVersion): Generator<[string, () => Promise<Uint8Array>]> {
  const { manifest, manifestBytes, signatureBytes } = version
  for (const name of Object.keys(manifest.files)) yield [name, () => version.file(name)]
  if (signatureBytes) yield [SIGNATURE_FILE, async () => signatureBytes]
  yield ['manifest.json', async () => manifestBytes]
}

function layersOf(bytes: Uint8Array, url: string): ReadonlyMap<string, Descriptor> {
  let layers: unknown
  try {
    layers = (JSON.parse(new TextDecoder().decode(bytes)) as { layers?: unknown } | null)?.layers
  } catch (cause) {
    throw unavailable(url, 'its manifest is not JSON', cause)
  }
  const named = new Map<string, Descriptor>()
  for (const layer of Array.isArray(layers) ? (layers as (Descriptor | null)[]) : []) {
    const name = layer?.annotations?.[TITLE]
    if (typeof name !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(String(layer?.digest))) continue
    named.set(name, layer as Descriptor)
  }
  return named
}

function assertDigest(bytes: Uint8Array, expected: string, path: string): void {
  const got = `sha256:${sha256(bytes)}`
  if (got !== expected) {
    throw new WeirError('bundle_corrupt', { path, expected: expected.slice(7), got: got.slice(7) })
  }
}

const bodyOf = ({ body }: OutgoingResponse): AsyncIterable<Uint8Array> =>
  (body ?? []) as AsyncIterable<Uint8Array>

/**
 * The authorization that a registry asks for: user and password, or a token for them (the distribution spec's
 * token authentication), which public repositories give anyone.
 */
async function authorize(
  url: string,
  challenge: string,
  scope: string,
  credentials: string | undefined,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const basic =
    credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString('base64')}`
  if (/^basic\b/i.test(challenge)) return basic
  const parameter = (name: string): string | undefined =>
    new RegExp(`\\b${name}="([^"]*)"`, 'i').exec(challenge)?.[1]
  const realm = parameter('realm')
  if (realm === undefined || !URL.canParse(realm)) {
    throw unavailable(url, `it asks for ${challenge.split(' ')[0]}, which is not known here`)
  }
  const address = new URL(realm)
  if (basic !== undefined && address.protocol !== 'https:' && new URL(url).protocol === 'https:') {
    throw unavailable(url, 'it wants the password sent without TLS')
  }
  const service = parameter('service')
  if (service !== undefined) address.searchParams.set('service', service)
  address.searchParams.set('scope', parameter('scope') ?? scope)
  const response = await remoteCall(address.href, { authorization: basic, signal })
  if (!response.ok) {
    await response.body?.cancel()
    throw unavailable(realm, statusReason(response.status))
  }
  const body = (await response.json().catch(() => undefined)) as
    | { token?: unknown; access_token?: unknown }
    | undefined
  const token = body?.token ?? body?.access_token
  if (typeof token !== 'string') throw unavailable(realm, 'it gave no token')
  return `Bearer ${token}`
}
