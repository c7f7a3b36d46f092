import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { EncoderSpec } from '../encoder.ts'
import { WeirError } from '../errors.ts'

/** The bytes of an encoder's files, by their paths in the bundle. */
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
