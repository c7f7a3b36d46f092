import { createHash } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { join, resolve, sep } from 'node:path'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { readRegularFile, regularFilesUnder } from '../../core/regular-file.ts'
import { firstFault } from '../../core/schema-fault.ts'
import type { LinearHead } from '../families/linear-head.ts'
import { contextKeys } from '../reading/recipe.ts'
import { DATA_HASHES_FILE, type DataHashes, decodeDataHashes } from './data-hashes.ts'
import { decodeHead, FALLBACK_HEAD_FILE, HEAD_FILE, roleIndex } from './head-file.ts'
import { BUNDLE_FORMAT, Manifest } from './manifest.ts'
import { SIGNATURE_FILE, verifySignature } from './signature.ts'

export const ROUTER_FILE = 'router.onnx'

/** One version of a router on disk, with all its files checked. */
export interface Bundle {
  /** the version's folder, never the `current` link, so that later reads see the same version */
  readonly path: string
  readonly manifest: Manifest
  /** the public key that signed it, if it is signed */
  readonly signedBy: string | undefined
  /** the bytes of one of its files, checked against its hash again */
  file(name: string): Promise<Uint8Array>
  /** the folded head, if the family is linear */
  head(): Promise<LinearHead | undefined>
  /** the head on the fallback encoder, if there is one */
  fallbackHead(): Promise<LinearHead | undefined>
  /** the prompts it was trained, validated and calibrated on */
  dataHashes(): Promise<DataHashes>
}

export interface ReadBundleOptions {
  /** public keys (`ed25519:...`) of which one must have signed it; signed or not by default */
  readonly signers?: readonly string[] | undefined
}

/**
 * Reads `NAME/` (its current version) or `NAME/VERSION/`, checks its signature, if it has or needs one, and
 * every file against its hash. Symbolic links, FIFOs and devices inside it are refused.
 *
 * @throws file_not_found, bundle_invalid (names the field or file), bundle_corrupt (names the file),
 * signature_missing, signature_invalid, signer_unknown
 */
export async function readBundle(
  path: string,
  { signers }: ReadBundleOptions = {},
): Promise<Bundle> {
  const folder = await versionFolder(resolve(path))
  const names = await regularFilesUnder(folder).catch((cause: WeirError) => {
    throw new WeirError('bundle_invalid', { path: folder, reason: cause.message }, { cause })
  })
  const manifestBytes = await readInside(folder, 'manifest.json', MAX_MANIFEST_BYTES)
  const signedBy = verifySignature(
    manifestBytes,
    names.includes(SIGNATURE_FILE)
      ? await readInside(folder, SIGNATURE_FILE, MAX_SIGNATURE_BYTES)
      : undefined,
    signers,
    folder,
  )
  const stored = parseManifest(manifestBytes, folder)
  if (signedBy !== undefined) assertOnlyListed(names, stored, folder)
  const manifest = signedBy === undefined ? stored : withSigner(stored, signedBy)
  for (const name of Object.keys(manifest.files)) await readChecked(folder, manifest, name)
  return {
    path: folder,
    manifest,
    signedBy,
    file: (name) => readChecked(folder, manifest, name),
    head: async () =>
      manifest.head
        ? decodeHead(
            await readChecked(folder, manifest, HEAD_FILE),
            manifest.head,
            manifest.encoder.dimension,
            manifest,
            folder,
          )
        : undefined,
    fallbackHead: async () =>
      manifest.fallback
        ? decodeHead(
            await readChecked(folder, manifest, FALLBACK_HEAD_FILE),
            manifest.fallback.head,
            manifest.fallback.encoder.dimension,
            manifest,
            folder,
          )
        : undefined,
    dataHashes: async () =>
      decodeDataHashes(
        manifest.files[DATA_HASHES_FILE]
          ? await readChecked(folder, manifest, DATA_HASHES_FILE)
          : new Uint8Array(0),
        folder,
      ),
  }
}

/** Bounds on what is read into memory; a manifest of a thousand models has under 1 MB. */
const MAX_MANIFEST_BYTES = 16 * 2 ** 20
const MAX_SIGNATURE_BYTES = 4096
/** Node reads no larger file at once. */
const MAX_FILE_BYTES = 2 ** 31 - 1

/** A signature vouches for what the manifest lists, so a signed version holds nothing else. */
function assertOnlyListed(names: readonly string[], { files }: Manifest, path: string): void {
  const listed = new Set([...Object.keys(files), 'manifest.json', SIGNATURE_FILE])
  // what a killed `weir sign` may leave, and nobody reads
  const leftOver = new RegExp(`^\\.${SIGNATURE_FILE}\\..*\\.partial$`)
  const other = names.find((name) => !listed.has(name) && !leftOver.test(name))
  if (other === undefined) return
  const reason = `it holds ${JSON.stringify(other)}, which its signed manifest does not list`
  throw new WeirError('signature_invalid', { path, reason })
}

/** The certificates of a signed version say who signed it. */
function withSigner(manifest: Manifest, signer: string): Manifest {
  const { threshold, choice } = manifest
  return {
    ...manifest,
    threshold: certified(threshold, signer),
    ...(choice && { choice: certified(choice, signer) }),
  }
}

type Certified = { readonly certificate?: Record<string, unknown> }

const certified = <T extends Certified>(one: T, signer: string): T =>
  one.certificate ? { ...one, certificate: { ...one.certificate, signed_by: signer } } : one

/** A manifest as it is written: only a reader that has checked a signature names the signer. */
export function withoutSigner<T extends Pick<Manifest, 'threshold' | 'choice'>>(manifest: T): T {
  const { threshold, choice } = manifest
  return {
    ...manifest,
    threshold: unsigned(threshold),
    ...(choice && { choice: unsigned(choice) }),
  }
}

function unsigned<T extends Certified>(one: T): T {
  if (!one.certificate) return one
  const { signed_by: _, ...certificate } = one.certificate
  return { ...one, certificate }
}

const manifestCheck = Compile(Manifest)

/** @throws bundle_invalid, naming the field */
export function assertManifest(value: unknown, path: string): Manifest {
  const format = (value as { format?: unknown } | null)?.format
  if (typeof format === 'number' && format !== BUNDLE_FORMAT) {
    throw invalid(path, `this weir reads bundle format ${BUNDLE_FORMAT}, it has ${format}`)
  }
  if (!manifestCheck.Check(value)) {
    const fault = firstFault(manifestCheck.Errors(value), value)
    throw invalid(path, `manifest ${fault.field}: expected ${fault.expected}, got ${fault.got}`)
  }
  roleIndex(value, 'strong', path)
  roleIndex(value, 'weak', path)
  const models = new Set(value.candidates.map((candidate) => candidate.model))
  if (models.size < value.candidates.length)
    throw invalid(path, 'candidates: a model is there twice')
  for (const one of [value.threshold, value.choice]) {
    if (one?.certificate && Object.hasOwn(one.certificate, 'signed_by')) {
      throw invalid(path, `manifest certificate: signed_by is for ${SIGNATURE_FILE} to say`)
    }
  }
  if (value.choice) checkChoice(value, path)
  const needed = [
    ROUTER_FILE,
    ...(value.head ? [HEAD_FILE] : []),
    ...value.encoder.files,
    ...(value.fallback ? [FALLBACK_HEAD_FILE, ...value.fallback.encoder.files] : []),
  ]
  for (const name of needed) {
    if (value.files[name] === undefined) throw invalid(path, `manifest files: ${name} is missing`)
  }
  for (const name of Object.keys(value.files)) {
    const safe =
      !/[\\:]|^\/|\/\//.test(name) && !name.split('/').some((part) => /^\.\.?$/.test(part))
    if (!safe || name === '' || name === 'manifest.json' || name === SIGNATURE_FILE) {
      throw invalid(path, `manifest files: ${JSON.stringify(name)} is not a path inside it`)
    }
  }
  return value
}

/** A rule among all candidates needs a quality and a cost for each of them. */
function checkChoice({ candidates, head }: Manifest, path: string): void {
  if (head?.link === 'pair') {
    throw invalid(
      path,
      'manifest choice: expected a head with a quality a model, got one for a pair',
    )
  }
  const unpriced = candidates.find(({ price, cost_usd: cost }) => !price && cost === undefined)
  if (unpriced) {
    throw invalid(
      path,
      `manifest choice: expected a price of each candidate, ${unpriced.model} has none`,
    )
  }
}

/**
 * The folder that a bundle's path stands for now: that of `NAME/current`, or the path itself if it is a
 * version.
 *
 * @throws file_not_found, bundle_invalid
 */
export async function versionFolder(path: string): Promise<string> {
  const entry = await stat(path).catch(() => undefined)
  if (!entry) throw new WeirError('file_not_found', { path })
  if (!entry.isDirectory()) throw invalid(path, 'it is a file, expected a folder')
  const current = join(path, 'current')
  const name = (await stat(join(path, 'manifest.json')).catch(() => undefined))
    ? path
    : (await stat(current).catch(() => undefined))
      ? current
      : undefined
  if (!name) throw invalid(path, 'it holds neither manifest.json nor a current version')
  // resolved once, here, so that a concurrent swap cannot mix two versions
  const folder = await realpath(name)
  if (name === current && !folder.startsWith(`${await realpath(path)}${sep}`)) {
    throw invalid(path, `current leads out of it, to ${folder}`)
  }
  return folder
}

function parseManifest(bytes: Uint8Array, folder: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new WeirError(
      'bundle_invalid',
      { path: folder, reason: `manifest.json is not JSON: ${(cause as Error).message}` },
      { cause },
    )
  }
  const manifest = assertManifest(value, folder)
  const version = bundleVersion(manifest)
  if (manifest.version !== version) {
    throw new WeirError('bundle_corrupt', {
      path: join(folder, 'manifest.json'),
      expected: manifest.version,
      got: version,
    })
  }
  return manifest
}

async function readChecked(folder: string, manifest: Manifest, name: string): Promise<Uint8Array> {
  const path = join(folder, name)
  const expected = manifest.files[name]
  if (expected === undefined) throw invalid(folder, `it holds no ${name}`)
  const bytes = await readInside(folder, name, MAX_FILE_BYTES)
  const got = sha256(bytes)
  if (got !== expected) throw new WeirError('bundle_corrupt', { path, expected, got })
  return bytes
}

async function readInside(folder: string, name: string, maxBytes: number): Promise<Uint8Array> {
  return readRegularFile(join(folder, name), { maxBytes }).catch((cause: WeirError) => {
    const reason = `${name} cannot be read: ${cause.message}`
    throw new WeirError('bundle_invalid', { path: folder, reason }, { cause })
  })
}

const invalid = (path: string, reason: string): WeirError =>
  new WeirError('bundle_invalid', { path, reason })

/** Hex digits of a version: 64 bits identify it; the manifest holds the full hashes of its files. */
const VERSION_LENGTH = 16

/**
 * Whether a bundle decides by a rule among many models; false if it cannot be read, so the next reader
 * reports it.
 */
export async function hasRule(path: string): Promise<boolean> {
  try {
    return (await readBundle(path)).manifest.choice !== undefined
  } catch (error) {
    if (error instanceof WeirError) return false
    throw error
  }
}

/** The keys of declared context that any of these bundles reads; one that cannot be read is refused where it is used. */
export async function contextOfBundles(paths: readonly string[]): Promise<readonly string[]> {
  const keys = new Set<string>()
  for (const path of paths) {
    try {
      for (const key of contextKeys((await readBundle(path)).manifest.recipe)) keys.add(key)
    } catch (error) {
      if (!(error instanceof WeirError)) throw error
    }
  }
  return [...keys]
}

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
