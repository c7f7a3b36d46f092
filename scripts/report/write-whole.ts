import { rename, rm, writeFile } from 'node:fs/promises'
import { WeirError } from '../../core/errors.ts'

/** Writes a file whole or not at all. Throws `file_unwritable`. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const part = `${path}.${process.pid}.part`
  try {
    await writeFile(part, text)
    await rename(part, path)
  } catch (cause) {
    await rm(part, { force: true })
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new WeirError('file_unwritable', { path, reason }, { cause })
  }
}
