import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join, relative, resolve } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly dependencies: Record<string, string>
  readonly optionalDependencies: Record<string, string>
  readonly peerDependencies: Record<string, string>
}

/** The source files that the package is built from. */
function builtFiles(): string[] {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const options = ['-p', 'tsconfig.build.json', '--listFilesOnly']
  return execFileSync(process.execPath, [tsc, ...options], { cwd: ROOT, encoding: 'utf8' })
    .split('\n')
    .map((file) => relative(ROOT, file))
    .filter((file) => file !== '' && !file.startsWith('node_modules/') && !file.startsWith('..'))
}

/** `@scope/name` or `name` of every import that is neither relative nor Node's own, types included. */
function packagesOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  const imports = text.matchAll(/(?:\bfrom|\bimport\(|^import)\s*['"](@?\w[\w./-]*)['"]/gm)
  return [...imports]
    .map(([, specifier]) => specifier!)
    .filter((specifier) => !isBuiltin(specifier))
    .map((specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'))
}

it('ships no module that imports what is installed for development only', () => {
  const { dependencies, optionalDependencies, peerDependencies } = manifest
  const known = new Set(
    [dependencies, optionalDependencies, peerDependencies].flatMap((group) => Object.keys(group)),
  )
  const files = builtFiles()
  expect(files).toContain('index.ts')
  const foreign = files.flatMap((file) =>
    packagesOf(file).flatMap((name) => (known.has(name) ? [] : [`${file}: ${name}`])),
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
