import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { makeFolders, writeWhole } from '../../core/files.ts'
import type { EncoderSpec } from './encoder.ts'

/**
 * Reads a converted encoder's file from the cache folder (its part `encoders`), or makes it and stores it there (by
 * rename, so that another process never sees a partial file). Without a folder it is made every time. If the folder cannot be written to, the
 * file is made again next time; that is not an error.
 */
export async function cachedFile(
  folder: string | undefined,
  name: string,
  make: () => Promise<Uint8Array>,
): Promise<Uint8Array> {
  if (folder === undefined) return make()
  const path = join(folder, 'encoders', name)
  try {
    return await readFile(path)
  } catch {
    const bytes = await make()
    try {
      makeFolders(dirname(path))
      await writeWhole(path, bytes, { flush: false })
    } catch {
      // made again the next time
    }
    return bytes
  }
}

/** The bytes of an encoder's files, by path in the bundle. */
export async function readEncoderFiles(
  spec: EncoderSpec,
  folder: string,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  for (const name of spec.files) {
    const bytes = await readFile(join(folder, name)).catch((cause: unknown) => {
      const { code } = cause as NodeJS.ErrnoException
      throw new WeirError('file_unreadable', { path: join(folder, name), reason: code }, { cause })
    })
    files.set(name, bytes)
  }
  return files
}

/** The parts of the cache folder: what else is in it is not Weir's. The last two are made by scripts of the repository. */
export const CACHE_PARTS = [
  'bundles',
  'embeddings',
  'encoders',
  'hub',
  'bench-peers',
  'eval',
] as const

/** Where generated files are cached between runs: WEIR_CACHE, otherwise the user's cache folder. */
export function cacheFolder(environment: Readonly<Record<string, string | undefined>>): string {
  if (environment.WEIR_CACHE) return environment.WEIR_CACHE
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'weir')
}
