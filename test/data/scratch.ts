import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, expect } from 'vitest'
import { type ErrorCode, WeirError } from '../../core/errors.ts'

const folders: string[] = []

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

/** A folder of this test's own, with the given files in it. */
export async function scratch(files: Record<string, string | Uint8Array> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-test-'))
  folders.push(folder)
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return folder
}

export const jsonl = (rows: readonly unknown[]): string =>
  rows.map((row) => `${JSON.stringify(row)}\n`).join('')

export const gzip = (text: string | Uint8Array): Uint8Array => gzipSync(text)

/** The WeirError that the work is refused with. */
export async function refusal(work: Promise<unknown>, code: ErrorCode): Promise<WeirError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(WeirError)
  expect((error as WeirError).code).toBe(code)
  return error as WeirError
}

/** Every file of a folder, as text that two folders can be compared by. */
export async function bytesOf(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const name of (await readdir(folder)).sort()) {
    found[name] = (await readFile(join(folder, name))).toString('base64')
  }
  return found
}
