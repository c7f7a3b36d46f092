import { createHash } from 'node:crypto'
import type { Manifest } from './manifest.ts'

/** Hex digits of a version: 64 bits name it; the whole hashes of its files stand in the manifest. */
const VERSION_LENGTH = 16

/**
 * The version of a bundle: SHA-256 of its manifest in canonical form (keys sorted) without the version
 * itself and without dates, so that the same inputs give the same version on any day.
 */
export function bundleVersion(manifest: Omit<Manifest, 'version' | 'created'>): string {
  const { version: _, created: __, ...rest } = manifest as Manifest
  const { threshold, choice } = rest
  const undated = {
    ...rest,
    threshold: withoutDate(threshold),
    ...(choice && { choice: withoutDate(choice) }),
  }
  return sha256(canonicalJson(undated)).slice(0, VERSION_LENGTH)
}

function withoutDate<T extends { readonly certificate?: Record<string, unknown> }>(dated: T): T {
  if (!dated.certificate) return dated
  const { date: _, ...certificate } = dated.certificate
  return { ...dated, certificate }
}

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

/** JSON with the keys of every object sorted (by UTF-16 unit) and no spaces. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
