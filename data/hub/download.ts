import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { throwIfAborted } from '../../core/abort.ts'
import { WeirError } from '../../core/errors.ts'
import { makeFolders } from '../../core/files.ts'
import type { OutgoingResponse } from '../../core/outgoing.ts'
import type { OnProgress } from '../../core/progress.ts'
import { fileUrl, type HubOptions, listFiles, request } from './client.ts'
import type { HubReference } from './reference.ts'

export interface FetchOptions extends HubOptions {
  /** the cache folder */
  readonly folder: string
  readonly onProgress?: OnProgress | undefined
}

export interface FetchedFile {
  readonly path: string
  readonly bytes: number
  /** false if it was already in the cache */
  readonly downloaded: boolean
}

const LOG_FILE = /\.(jsonl|ndjson|json|csv|tsv|parquet|arrow|feather)(\.gz|\.zst)?$/i
/** Files that describe a repository and contain no rows. */
const NOT_A_LOG = /(^|\/)(dataset_infos?|state)\.json$/i
/** How often a body may be interrupted before giving up; each retry resumes where it stopped. */
const BREAKS = 8

/** Downloads the referenced files into the cache, each complete and checked. */
export async function fetchFromHub(
  reference: HubReference,
  options: FetchOptions,
): Promise<FetchedFile[]> {
  const paths = await filesOf(reference, options)
  const fetched: FetchedFile[] = []
  for (const path of paths) fetched.push(await fetchFile(reference, path, options))
  return fetched
}

/** A path with a file extension is a file and needs no listing. */
async function filesOf(reference: HubReference, options: FetchOptions): Promise<string[]> {
  const { path, repo } = reference
  if (path !== undefined && /\.[A-Za-z0-9]+$/.test(path)) return [path]
  const files = await listFiles(reference, options)
  const logs = files
    .map((file) => file.path)
    .filter((name) => LOG_FILE.test(name) && !NOT_A_LOG.test(name))
  if (logs.length > 0) return logs
  throw new WeirError('hub_not_found', { url: repo, what: 'log file (.parquet, .jsonl, .csv)' })
}

interface Identity {
  readonly etag: string
  readonly size?: number
}

async function fetchFile(
  reference: HubReference,
  path: string,
  options: FetchOptions,
): Promise<FetchedFile> {
  const { type, repo, revision } = reference
  const target = join(options.folder, type, repo, revision.replace(/\//g, '%2F'), path)
  const url = fileUrl(reference, path, options)
  const kept = await readFile(`${target}.etag`, 'utf8').catch(() => undefined)
  makeFolders(dirname(target))
  const identity = identityOf(await request(url, reference, options, { method: 'HEAD' }))
  if (kept === identity.etag && (await sizeOf(target)) !== undefined) {
    return { path: target, bytes: (await sizeOf(target))!, downloaded: false }
  }
  const partial = `${target}.partial`
  const begun = await readFile(`${partial}.etag`, 'utf8').catch(() => undefined)
  let have = begun === identity.etag ? ((await sizeOf(partial)) ?? 0) : 0
  if (have === 0) await rm(partial, { force: true })
  await writeFile(`${partial}.etag`, identity.etag)
  let response = await request(url, reference, options, { from: have })
  for (let breaks = 0; ; breaks++) {
    // A server without range support sends the whole file again; so does one whose file has changed.
    if (have > 0 && (response.status !== 206 || identityOf(response).etag !== identity.etag))
      have = 0
    const result = await append(response, partial, have, identity.size, options)
    have = result.bytes
    if (result.whole) break
    if (breaks >= BREAKS) {
      throw new WeirError('hub_failed', {
        url,
        reason: `it breaks off again and again, last at byte ${have}`,
      })
    }
    await (options.sleep ?? pause)(Math.min(30_000, 250 * 2 ** breaks))
    response = await request(url, reference, options, { from: have })
  }
  await check(partial, identity)
  await rename(partial, target)
  await writeFile(`${target}.etag`, identity.etag)
  await rm(`${partial}.etag`, { force: true })
  return { path: target, bytes: have, downloaded: true }
}

function identityOf(response: Awaited<ReturnType<typeof request>>): Identity {
  const etag = (response.linked?.etag ?? response.headers.get('etag') ?? '').replace(/^W\/|"/g, '')
  const range = /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]
  const length = response.status === 206 ? range : response.headers.get('content-length')
  const size = response.linked?.size ?? (length == null ? undefined : Number(length))
  return { etag, ...(size !== undefined && { size }) }
}

async function append(
  response: OutgoingResponse,
  partial: string,
  have: number,
  size: number | undefined,
  { signal, onProgress }: FetchOptions,
): Promise<{ readonly bytes: number; readonly whole: boolean }> {
  const file = await open(partial, have > 0 ? 'r+' : 'w')
  let bytes = have
  let broken = false
  try {
    const body = (response.body ?? []) as AsyncIterable<Uint8Array>
    for await (const chunk of body) {
      throwIfAborted(signal)
      await file.write(chunk, 0, chunk.length, bytes)
      bytes += chunk.length
      onProgress?.({
        stage: 'bytes fetched',
        done: bytes,
        ...(size !== undefined && { total: size }),
      })
    }
  } catch (error) {
    throwIfAborted(signal)
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw error
    broken = true
  } finally {
    await file.truncate(bytes).catch(() => {})
    await file.close()
  }
  return { bytes, whole: !broken && (size === undefined || bytes >= size) }
}

/** The hub's etag is the SHA-256 of a large file, or git's SHA-1 of a small one. */
async function check(path: string, { etag, size }: Identity): Promise<void> {
  const bytes = (await sizeOf(path))!
  const fail = async (expected: string, got: string): Promise<never> => {
    await rm(path, { force: true })
    throw new WeirError('download_corrupt', { path, expected, got })
  }
  if (size !== undefined && bytes !== size) await fail(`${size} bytes`, `${bytes}`)
  const kind = /^[0-9a-f]{64}$/.test(etag)
    ? 'sha256'
    : /^[0-9a-f]{40}$/.test(etag)
      ? 'sha1'
      : undefined
  if (!kind) return
  const hash = createHash(kind)
  if (kind === 'sha1') hash.update(`blob ${bytes}\0`)
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  const got = hash.digest('hex')
  if (got !== etag) await fail(`${kind} ${etag}`, got)
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size
}
