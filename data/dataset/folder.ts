import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { DATASET_FILES } from './manifest.ts'

/**
 * Fills a folder beside `out` and moves it there when it is whole, so that nobody ever sees half of one;
 * what an interrupted run left is taken away first. Only a dataset or an empty folder is replaced.
 */
export async function replaceFolder<T>(
  out: string,
  fill: (folder: string) => Promise<T>,
): Promise<T> {
  const target = resolve(out)
  const parent = dirname(target)
  await refuseOther(out, target)
  await mkdir(parent, { recursive: true })
  await removeLeftovers(parent, basename(target))
  const fresh = join(parent, `.${basename(target)}.${process.pid}.partial`)
  await rm(fresh, { recursive: true, force: true })
  await mkdir(fresh)
  try {
    const result = await fill(fresh)
    const old = join(parent, `.${basename(target)}.${process.pid}.old`)
    const replaced = await rename(target, old).then(
      () => true,
      () => false,
    )
    await rename(fresh, target)
    if (replaced) await rm(old, { recursive: true, force: true })
    return result
  } catch (error) {
    await rm(fresh, { recursive: true, force: true })
    throw error
  }
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

async function removeLeftovers(parent: string, name: string): Promise<void> {
  const pattern = new RegExp(`^\\.${name.replace(/[^\w]/g, '\\$&')}\\.(\\d+)\\.(partial|old)$`)
  for (const entry of await readdir(parent)) {
    const pid = Number(pattern.exec(entry)?.[1] ?? Number.NaN)
    if (Number.isNaN(pid) || alive(pid)) continue
    await rm(join(parent, entry), { recursive: true, force: true })
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
