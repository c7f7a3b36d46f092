import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { WeirError } from '../../../core/errors.ts'
import {
  makeFolders,
  removePartials,
  renameInto,
  writeNew,
  writeWhole,
} from '../../../core/files.ts'
import { withLock } from '../../../core/lock.ts'
import type { OnProgress } from '../../../core/progress.ts'
import { readRollout } from '../../../records/rollout.ts'
import { assertManifest, bundleVersion, readBundle, versionFolder } from '../read.ts'
import { SIGNATURE_FILE, verifySignature } from '../signature.ts'
import { pointCurrent } from '../write.ts'
import { reasonOf, unavailable } from './http.ts'
import { objectStore, webObjects } from './objects.ts'
import { ociStore } from './oci.ts'
import { type BundleReference, cacheHome, isLoopback } from './reference.ts'
import { s3Endpoint, s3Objects } from './s3.ts'
import type { BundleStore, Pushed, RemoteVersion } from './store.ts'

type Environment = Readonly<Record<string, string | undefined>>

export interface StoreOptions {
  /** the registry's `user:password`, or what a web server gets as `Authorization: Bearer` */
  readonly key?: string | undefined
  readonly environment: Environment
}

/** The place that a reference names. */
export async function openStore(
  reference: BundleReference,
  { key, environment }: StoreOptions,
): Promise<BundleStore> {
  switch (reference.kind) {
    case 'oci': {
      const { host } = new URL(reference.origin)
      return ociStore(reference, key ?? (await dockerCredentials(host, environment)))
    }
    case 'web':
      return objectStore(webObjects(reference.url, key), reference.digest)
    case 's3':
      return objectStore(
        s3Objects(reference.bucket, reference.prefix, environment),
        reference.digest,
      )
  }
}

/** What `docker login` has stored for a registry; helpers that keep passwords elsewhere are not called. */
async function dockerCredentials(
  host: string,
  environment: Environment,
): Promise<string | undefined> {
  const folder = environment.DOCKER_CONFIG ?? join(environment.HOME ?? homedir(), '.docker')
  const text = await readFile(join(folder, 'config.json'), 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const { auths } = JSON.parse(text) as { auths?: Record<string, { auth?: unknown }> }
    const auth = (auths?.[host] ?? auths?.[`https://${host}`])?.auth
    return typeof auth === 'string' ? Buffer.from(auth, 'base64').toString('utf8') : undefined
  } catch (cause) {
    const path = join(folder, 'config.json')
    throw new WeirError('file_unreadable', { path, reason: 'it is not JSON' }, { cause })
  }
}

export interface PullOptions extends StoreOptions {
  /** folder of all bundles from elsewhere */
  readonly cache: string
  /** public keys of which one must have signed it */
  readonly signers?: readonly string[] | undefined
  /** trust what is in the cache if nothing has moved: whoever opens it checks it */
  readonly trusting?: boolean
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

export interface Pulled {
  /** a bundle's NAME folder: the cached versions, and `current` */
  readonly home: string
  readonly version: string
  /** whether `current` points at another version than before */
  readonly moved: boolean
}

/** What stood at the reference when it was last pulled. */
const SOURCE_FILE = 'source.json'
/** Older versions that stay in the cache, to roll back to. */
const KEPT_VERSIONS = 8
/** Longest wait for another process that pulls the same bundle. */
const LOCK_MS = 600_000

/**
 * Brings the cache up to date with what stands at the reference, if that has changed since the last time: a version
 * that was rolled back meanwhile stays so. A version is checked whole (hashes, signature) before it is in the cache
 * under its name; a process that is killed leaves nothing that would be read.
 *
 * @throws bundle_unavailable, bundle_invalid, bundle_corrupt, signature_missing, signature_invalid, signer_unknown,
 * config_invalid for an address without TLS where neither digest nor signature is asked for
 */
export async function pullBundle(
  reference: BundleReference,
  options: PullOptions,
): Promise<Pulled> {
  const { cache, signers, signal, trusting = false } = options
  if (isPlain(reference, options.environment) && reference.digest === undefined && !signers) {
    throw new WeirError('config_invalid', {
      where: reference.text,
      expected: 'TLS, @sha256:... or --require-signature: without, anyone on the way can change it',
      got: 'none of them',
    })
  }
  const home = cacheHome(cache, reference)
  makeFolders(home)
  const store = await openStore(reference, options)
  return withLock(home, { deadlineMs: LOCK_MS }, async () => {
    const before = await currentVersion(home, signers, trusting)
    const known = await readSource(home)
    const identity = await store.identity(signal)
    if (before !== undefined && known === identity) return { home, version: before, moved: false }
    const remote = await store.open(signal)
    const version = await keep(remote, home, reference, options)
    if (version !== before) await pointCurrent(home, version)
    const source = { reference: reference.text, identity: remote.identity }
    await writeWhole(join(home, SOURCE_FILE), `${JSON.stringify(source)}\n`)
    await removeOld(home, version)
    return { home, version, moved: version !== before }
  })
}

/** Whether others on the way could change what is fetched. */
function isPlain(reference: BundleReference, environment: Environment): boolean {
  const endpoint = reference.kind === 's3' ? s3Endpoint(environment) : undefined
  if (endpoint === undefined || !URL.canParse(endpoint)) return reference.plain
  const { protocol, hostname } = new URL(endpoint)
  return protocol === 'http:' && !isLoopback(hostname)
}

/** The version that the cache serves; undefined if there is none, or none that is whole and signed as asked. */
async function currentVersion(
  home: string,
  signers: readonly string[] | undefined,
  trusting: boolean,
): Promise<string | undefined> {
  try {
    if (trusting) return basename(await versionFolder(home))
    return (await readBundle(home, { signers })).manifest.version
  } catch (error) {
    if (error instanceof WeirError) return undefined
    throw error
  }
}

async function readSource(home: string): Promise<string | undefined> {
  try {
    const text = await readFile(join(home, SOURCE_FILE), 'utf8')
    const { identity } = JSON.parse(text) as { identity?: unknown }
    return typeof identity === 'string' ? identity : undefined
  } catch {
    return undefined
  }
}

/** Puts a version into the cache, if it is not there already. @returns the version */
async function keep(
  remote: RemoteVersion,
  home: string,
  { text }: BundleReference,
  { signers, onProgress }: PullOptions,
): Promise<string> {
  const { manifestBytes, signatureBytes } = remote
  // before anything is fetched that it lists
  verifySignature(manifestBytes, signatureBytes, signers, text)
  const manifest = assertManifest(parsed(manifestBytes, text), text)
  const version = bundleVersion(manifest)
  if (version !== manifest.version) {
    const path = `${text}: manifest.json`
    throw new WeirError('bundle_corrupt', { path, expected: manifest.version, got: version })
  }
  const path = join(home, version)
  await removePartials(home)
  if (await isSame(path, signatureBytes, signers)) return version
  await renameInto(path, async (partial) => {
    await mkdir(partial)
    const names = Object.keys(manifest.files)
    let bytes = 0
    for (const [done, name] of names.entries()) {
      const target = join(partial, name)
      makeFolders(dirname(target))
      bytes += await download(
        await remote.file(name),
        target,
        manifest.files[name]!,
        `${text}: ${name}`,
      )
      const note = `${Math.ceil(bytes / 1024)} KB`
      onProgress?.({ stage: 'files fetched', done: done + 1, total: names.length, note })
    }
    if (signatureBytes) await writeNew(join(partial, SIGNATURE_FILE), signatureBytes)
    await writeNew(join(partial, 'manifest.json'), manifestBytes)
    await readBundle(partial, { signers })
    await rm(path, { recursive: true, force: true })
  })
  return version
}

const parsed = (bytes: Uint8Array, path: string): unknown => {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    const reason = `manifest.json is not JSON: ${(cause as Error).message}`
    throw new WeirError('bundle_invalid', { path, reason }, { cause })
  }
}

/** Whether the version is in the cache whole, with this very signature. */
async function isSame(
  path: string,
  signature: Uint8Array | undefined,
  signers: readonly string[] | undefined,
): Promise<boolean> {
  const own = await readFile(join(path, SIGNATURE_FILE)).catch(() => undefined)
  if (Buffer.compare(own ?? Buffer.alloc(0), signature ?? Buffer.alloc(0)) !== 0) return false
  try {
    await readBundle(path, { signers })
    return true
  } catch (error) {
    if (error instanceof WeirError) return false
    throw error
  }
}

/** Largest file of a bundle, which is read into memory at once. */
const MAX_FILE_BYTES = 2 ** 31 - 1

/** @returns bytes written @throws bundle_corrupt, bundle_unavailable */
async function download(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
  expected: string,
  shown: string,
): Promise<number> {
  const hash = createHash('sha256')
  const file = await open(path, 'wx')
  let bytes = 0
  try {
    for await (const chunk of chunks) {
      bytes += chunk.length
      if (bytes > MAX_FILE_BYTES)
        throw unavailable(shown, `it has more than ${MAX_FILE_BYTES} bytes`)
      hash.update(chunk)
      await file.writeFile(chunk)
    }
    await file.sync()
  } catch (error) {
    const isOurs = error instanceof WeirError || (error as NodeJS.ErrnoException).code === 'ENOSPC'
    throw isOurs ? error : unavailable(shown, reasonOf(error as Error), error)
  } finally {
    await file.close()
  }
  const got = hash.digest('hex')
  if (got !== expected) throw new WeirError('bundle_corrupt', { path: shown, expected, got })
  return bytes
}

/** Removes all but the newest versions, and those that are served. */
async function removeOld(home: string, current: string): Promise<void> {
  const rollout = await readRollout(home)
  const names = (await readdir(home)).filter((name) => /^[0-9a-f]{16}$/.test(name))
  const others = names.filter((name) => name !== current && name !== rollout?.version)
  const aged = await Promise.all(
    others.map(async (name) => ({ name, time: (await stat(join(home, name))).mtimeMs })),
  )
  aged.sort((a, b) => b.time - a.time)
  for (const { name } of aged.slice(KEPT_VERSIONS)) {
    await rm(join(home, name), { recursive: true, force: true })
  }
}

export interface PushOptions extends StoreOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/**
 * Copies a version of a bundle to a registry or a bucket, with its signature, and moves the tag (or `current`) to it
 * last. Files that are there already are not sent again.
 *
 * @param path a bundle's NAME folder (its current version) or the folder of one version
 * @throws bundle_invalid, bundle_corrupt, bundle_unavailable, option_invalid where nothing can be pushed to
 */
export async function pushBundle(
  path: string,
  reference: BundleReference,
  options: PushOptions,
): Promise<Pushed & { readonly name: string; readonly version: string; readonly signed: boolean }> {
  const { signal, onProgress } = options
  const store = await openStore(reference, options)
  if (!store.push || reference.digest !== undefined) {
    throw new WeirError('option_invalid', {
      option: 'the place to push to',
      expected: 'oci://registry/repository:tag or s3://bucket/prefix/NAME, without a digest',
      got:
        reference.digest === undefined ? reference.text : `${reference.text}@${reference.digest}`,
    })
  }
  const bundle = await readBundle(path)
  const manifestBytes = await readFile(join(bundle.path, 'manifest.json'))
  const signatureBytes =
    bundle.signedBy === undefined ? undefined : await readFile(join(bundle.path, SIGNATURE_FILE))
  const manifest = assertManifest(parsed(manifestBytes, bundle.path), bundle.path)
  const total = Object.keys(manifest.files).length
  let done = 0
  const pushed = await store.push(
    { manifest, manifestBytes, signatureBytes, file: bundle.file },
    () => onProgress?.({ stage: 'files', done: ++done, total }),
    signal,
  )
  const { name, version } = manifest
  return { ...pushed, name, version, signed: signatureBytes !== undefined }
}
