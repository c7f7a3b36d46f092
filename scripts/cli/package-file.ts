import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The path of a file that the package carries, by its path in the repository: the build is one folder deeper. */
export function packageFile(path: string): string {
  const paths = ['../../', '../../../'].map((up) =>
    fileURLToPath(new URL(up + path, import.meta.url)),
  )
  return paths.find((one) => existsSync(one)) ?? paths[0]!
}
