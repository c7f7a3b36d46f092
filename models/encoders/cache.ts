import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/**
 * A file that is made once and kept: read from the folder where it is there, else made and written whole
 * (by rename, so that another process never sees half of it). Without a folder it is made every time. A
 * folder that cannot be written to costs the time of making it again, and is no error.
 */
export async function cachedFile(
  folder: string | undefined,
  name: string,
  make: () => Promise<Uint8Array>,
): Promise<Uint8Array> {
  if (folder === undefined) return make()
  const path = join(folder, name)
  try {
    return await readFile(path)
  } catch {
    const bytes = await make()
    await writeWhole(path, bytes).catch(() => undefined)
    return bytes
  }
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const partial = `${path}.${randomUUID()}.part`
  try {
    await writeFile(partial, bytes)
    await rename(partial, path)
  } finally {
    await rm(partial, { force: true })
  }
}
