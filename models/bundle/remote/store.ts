import type { Manifest } from '../manifest.ts'

/** What stands at a reference at one moment. */
export interface RemoteVersion {
  /** changes with everything that is kept there, a new signature included */
  readonly identity: string
  readonly manifestBytes: Uint8Array
  /** absent if it is not signed */
  readonly signatureBytes: Uint8Array | undefined
  /** A file that the manifest lists; whoever reads it checks its hash. @throws bundle_unavailable */
  file(name: string): Promise<AsyncIterable<Uint8Array>>
}

/** A version to be kept elsewhere; every file has been read and checked. */
export interface LocalVersion {
  readonly manifest: Manifest
  readonly manifestBytes: Uint8Array
  readonly signatureBytes: Uint8Array | undefined
  file(name: string): Promise<Uint8Array>
}

export interface Pushed {
  /** for `@sha256:...` behind the reference */
  readonly digest: string
  readonly uploaded: number
  /** files that were there already */
  readonly kept: number
}

/** A kind of place that keeps bundles. Every method may throw bundle_unavailable. */
export interface BundleStore {
  /** The identity of what stands at the reference now; the cheapest question there is. */
  identity(signal?: AbortSignal): Promise<string>
  /** @throws bundle_corrupt if a digest was asked for and something else is there */
  open(signal?: AbortSignal): Promise<RemoteVersion>
  /** absent where nothing can be written */
  readonly push?: (
    version: LocalVersion,
    onFile: (name: string) => void,
    signal?: AbortSignal,
  ) => Promise<Pushed>
}

/** Bounds on what is read into memory. */
export const MAX_MANIFEST_BYTES = 16 * 2 ** 20
export const MAX_SIGNATURE_BYTES = 4096
