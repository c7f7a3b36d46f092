import { WeirError } from '../../../core/errors.ts'
import { sha256 } from '../read.ts'
import { SIGNATURE_FILE } from '../signature.ts'
import { bytesOf, remoteCall, statusReason, unavailable } from './http.ts'
import {
  type BundleStore,
  MAX_MANIFEST_BYTES,
  MAX_SIGNATURE_BYTES,
  type RemoteVersion,
} from './store.ts'

/** Objects by name below one address: a folder of a web server, or a prefix of a bucket. */
export interface Objects {
  readonly url: string
  /** undefined if there is no such object */
  get(name: string, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array> | undefined>
  /** these two are absent where nothing can be written */
  readonly put?: (name: string, bytes: Uint8Array, signal?: AbortSignal) => Promise<void>
  readonly remove?: (name: string, signal?: AbortSignal) => Promise<void>
}

const VERSION = /^[0-9a-f]{16}$/

/**
 * A bundle's NAME folder as objects with the same names as on disk, so that a web server may serve the folder itself:
 * `current/manifest.json` says which version is current, and its files are in `VERSION/`, which never change. The
 * address may also be that of one version.
 */
export function objectStore(objects: Objects, digest: string | undefined): BundleStore {
  const { url } = objects
  const small = async (name: string, most: number, signal?: AbortSignal) => {
    const body = await objects.get(name, signal)
    return body && bytesOf(body, `${url}/${name}`, most)
  }
  const manifestOf = async (signal?: AbortSignal) => {
    for (const at of ['current/manifest.json', 'manifest.json']) {
      const bytes = await small(at, MAX_MANIFEST_BYTES, signal)
      if (!bytes) continue
      const got = `sha256:${sha256(bytes)}`
      if (digest !== undefined && got !== digest) {
        const path = `${url}/${at}`
        throw new WeirError('bundle_corrupt', {
          path,
          expected: digest.slice(7),
          got: got.slice(7),
        })
      }
      const folder = at === 'manifest.json' ? '' : `${versionOf(bytes, `${url}/${at}`)}/`
      const signature = await small(`${folder}${SIGNATURE_FILE}`, MAX_SIGNATURE_BYTES, signal)
      const identity = signature ? `${got}+sha256:${sha256(signature)}` : got
      return { bytes, signature, folder, identity }
    }
    throw unavailable(url, 'it holds neither current/manifest.json nor manifest.json')
  }
  const { put, remove } = objects
  return {
    identity: async (signal) => digest ?? (await manifestOf(signal)).identity,
    async open(signal): Promise<RemoteVersion> {
      const { bytes, signature, folder, identity } = await manifestOf(signal)
      return {
        identity: digest ?? identity,
        manifestBytes: bytes,
        signatureBytes: signature,
        async file(name) {
          const body = await objects.get(`${folder}${name}`, signal)
          if (!body) throw unavailable(`${url}/${folder}${name}`, statusReason(404))
          return body
        },
      }
    },
    ...(put && {
      async push({ manifest, manifestBytes, signatureBytes, file }, onFile, signal) {
        const folder = manifest.version
        const there = await small(`${folder}/manifest.json`, MAX_MANIFEST_BYTES, signal)
        const isThere = there !== undefined && Buffer.compare(there, manifestBytes) === 0
        const names = isThere ? [] : Object.keys(manifest.files)
        for (const name of names) {
          onFile(name)
          await put(`${folder}/${name}`, await file(name), signal)
        }
        // one of an earlier push would not hold for this manifest, whose dates may differ
        if (signatureBytes) await put(`${folder}/${SIGNATURE_FILE}`, signatureBytes, signal)
        else if (!isThere) await remove?.(`${folder}/${SIGNATURE_FILE}`, signal)
        // the version is complete with its manifest, and current by the last object
        await put(`${folder}/manifest.json`, manifestBytes, signal)
        await put('current/manifest.json', manifestBytes, signal)
        return {
          digest: `sha256:${sha256(manifestBytes)}`,
          uploaded: names.length,
          kept: Object.keys(manifest.files).length - names.length,
        }
      },
    }),
  }
}

function versionOf(bytes: Uint8Array, url: string): string {
  let version: unknown
  try {
    version = (JSON.parse(new TextDecoder().decode(bytes)) as { version?: unknown } | null)?.version
  } catch (cause) {
    throw unavailable(url, 'it is not JSON', cause)
  }
  if (typeof version === 'string' && VERSION.test(version)) return version
  throw unavailable(url, 'it is no manifest of a bundle')
}

/** Files of a web server. @param key sent as `Authorization: Bearer` */
export function webObjects(url: string, key: string | undefined): Objects {
  const authorization = key === undefined ? undefined : `Bearer ${key}`
  return {
    url,
    async get(name, signal) {
      const at = `${url}/${name.split('/').map(encodeURIComponent).join('/')}`
      const response = await remoteCall(at, { authorization, signal })
      if (response.ok) return (response.body ?? []) as AsyncIterable<Uint8Array>
      await response.body?.cancel()
      if (response.status === 404 || response.status === 410) return undefined
      throw unavailable(at, statusReason(response.status))
    },
  }
}
