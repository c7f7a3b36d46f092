import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { foreignPackages, type Manifest } from '../../scripts/check-package.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest

/** The source files that the package is built from. */
function builtFiles(): string[] {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const options = ['-p', 'tsconfig.build.json', '--listFilesOnly']
  return execFileSync(process.execPath, [tsc, ...options], { cwd: ROOT, encoding: 'utf8' })
    .split('\n')
    .map((file) => relative(ROOT, file))
    .filter((file) => file !== '' && !file.startsWith('node_modules/') && !file.startsWith('..'))
}

it('ships no module that imports what is installed for development only', () => {
  const files = builtFiles()
  expect(files).toContain('index.ts')
  const foreign = files.flatMap((file) =>
    foreignPackages(readFileSync(join(ROOT, file), 'utf8'), manifest).map(
      (name) => `${file}: ${name}`,
    ),
  )
  expect(foreign).toEqual([])
})

it('runs no install script that fetches CUDA libraries', () => {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    readonly packages: Record<string, { readonly hasInstallScript?: boolean }>
  }
  // npm 10 runs what the lockfile says has a script; npm 11 reads allowScripts of package.json
  expect(lock.packages['node_modules/onnxruntime-node']).not.toHaveProperty('hasInstallScript')
})
