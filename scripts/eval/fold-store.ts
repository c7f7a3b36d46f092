import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const FITTED_BY = [
  'training/trainers',
  'training/solver',
  'training/lexical',
  'models/families',
  'models/lexical',
]

/** Results, as JSON, kept by what was asked and by the code that answers, so that a run goes on where it was stopped. */
export interface FoldStore {
  keep<T>(key: readonly unknown[], make: () => Promise<T>): Promise<T>
}

export async function openFoldStore(folder: string): Promise<FoldStore> {
  const code = createHash('sha256')
  for (const part of FITTED_BY) {
    const path = join(import.meta.dirname, '../..', part)
    for (const file of (await readdir(path)).sort()) {
      code.update(file).update(await readFile(join(path, file)))
    }
  }
  const version = code.digest('hex').slice(0, 12)
  return {
    async keep<T>(key: readonly unknown[], make: () => Promise<T>) {
      const name = createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 16)
      const path = join(folder, version, `${name}.json`)
      const known = await readFile(path, 'utf8').catch(() => undefined)
      if (known !== undefined) return JSON.parse(known) as T
      const made = await make()
      await mkdir(dirname(path), { recursive: true })
      await writeFile(`${path}.${process.pid}`, JSON.stringify(made))
      await rename(`${path}.${process.pid}`, path)
      return made
    },
  }
}
