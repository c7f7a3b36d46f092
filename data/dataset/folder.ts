import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { inFolder, removePartials, renameInto } from '../../core/files.ts'
import { DATASET_FILES } from './manifest.ts'

/**
 * Fills a temporary folder beside `out` and moves it into place when complete, so that a partial one is never
 * visible. Leftovers of an interrupted run are removed first. Only a dataset or an empty folder is replaced.
 */
export async function replaceFolder<T>(
  out: string,
  fill: (folder: string) => Promise<T>,
): Promise<T> {
  const target = resolve(out)
  const parent = dirname(target)
  await refuseOther(out, target)
  return inFolder(parent, async () => {
    await removePartials(parent, basename(target))
    const old = join(parent, `.${basename(target)}.${process.pid}.old`)
    const result = await renameInto(target, async (partial) => {
      await mkdir(partial)
      const filled = await fill(partial)
      await rename(target, old).catch(() => undefined)
      return filled
    })
    await rm(old, { recursive: true, force: true })
    return result
  })
}

async function refuseOther(out: string, target: string): Promise<void> {
  const info = await stat(target).catch(() => undefined)
  if (!info) return
  const names = info.isDirectory() ? await readdir(target) : ['(a file)']
  if (names.length === 0 || names.includes(DATASET_FILES.manifest)) return
  const got = `${out}, which holds something else (${names.slice(0, 3).join(', ')})`
  throw new WeirError('option_invalid', {
    option: '--out',
    expected: 'a new folder or a dataset',
    got,
  })
}
