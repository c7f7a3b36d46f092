import { rm, symlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { inFolder, makeFolders, removePartials, renameInto, writeNew } from '../../core/files.ts'
import { BUNDLE_FORMAT, type Manifest } from './manifest.ts'
import { assertManifest, bundleVersion, readBundle, sha256, withoutSigner } from './read.ts'

/** A bundle before it has a version, without the fields that the writer computes. */
export interface BundleDraft {
  readonly manifest: Omit<Manifest, 'format' | 'version' | 'files' | 'created'>
  /** by path in the bundle, such as `router.onnx` or `encoder/vocabulary.json` */
  readonly files: ReadonlyMap<string, Uint8Array>
}

export interface WrittenBundle {
  /** the version's folder */
  readonly path: string
  readonly manifest: Manifest
}

/**
 * Writes `root/NAME/VERSION/` and points `root/NAME/current` at it. A version is written to a temporary
 * folder, flushed and renamed, so a reader sees all of it or none; an existing complete version is left
 * unchanged.
 *
 * @throws bundle_invalid if the manifest does not match its schema
 */
export async function writeBundle(
  root: string,
  draft: BundleDraft,
  now: Date = new Date(),
): Promise<WrittenBundle> {
  const hashes = [...draft.files]
    .map(([name, bytes]) => [name, sha256(bytes)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const manifest = withoutSigner(draft.manifest)
  const body = { format: BUNDLE_FORMAT, ...manifest, files: Object.fromEntries(hashes) }
  const version = bundleVersion(body as Manifest)
  // serialised to JSON first, so that the check covers what a reader will see
  const text = `${JSON.stringify({ ...body, version, created: now.toISOString() }, null, 2)}\n`
  const folder = join(resolve(root), draft.manifest.name)
  assertManifest(JSON.parse(text), folder)
  const path = join(folder, version)
  await inFolder(folder, async () => {
    // what processes left that were killed here
    await removePartials(folder)
    if (!(await isWhole(path, version))) {
      await renameInto(path, async (partial) => {
        const files = [...draft.files, ['manifest.json', text] as const]
        for (const [name, contents] of files) {
          makeFolders(dirname(join(partial, name)))
          await writeNew(join(partial, name), contents)
        }
        await rm(path, { recursive: true, force: true })
      })
    }
    await pointCurrent(folder, version)
  })
  return { path, manifest: (await readBundle(path)).manifest }
}

/** Points `NAME/current` at one of its versions, atomically for readers. */
export async function pointCurrent(folder: string, version: string): Promise<void> {
  await renameInto(join(folder, 'current'), (partial) => symlink(version, partial, 'dir'))
}

async function isWhole(path: string, version: string): Promise<boolean> {
  try {
    return (await readBundle(path)).manifest.version === version
  } catch (error) {
    if (error instanceof WeirError) return false
    throw error
  }
}
