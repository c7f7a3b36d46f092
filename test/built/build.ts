import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'

export const ROOT = resolve(import.meta.dirname, '../..')
const BUILDS = join(ROOT, 'node_modules/.cache/weir-tests')
const PROJECT = join(import.meta.dirname, 'tsconfig.json')
/** What test/built/tsconfig.json compiles, and what says how. */
const SOURCES = [
  ...[
    'index.ts',
    'testing',
    'examples',
    'core',
    'records',
    'data',
    'models',
    'scripts',
    'serving',
    'training',
    'test/core',
    'test/records',
    'test/built',
  ],
  ...['package.json', 'tsconfig.json', 'tsconfig.build.json'],
]
const AN_HOUR = 3_600_000

/**
 * The folder of the sources as they are now, as JavaScript: the first who asks compiles them. Threads and child
 * processes start from it in a third of the time that they take from source, where each registers tsx first.
 */
export function built(): string {
  const folder = join(BUILDS, fingerprint())
  if (!existsSync(folder)) compile(folder)
  return folder
}

function compile(folder: string): void {
  mkdirSync(BUILDS, { recursive: true })
  for (const entry of readdirSync(BUILDS)) {
    const path = join(BUILDS, entry)
    // a younger one may be another run's
    if (Date.now() - (modified(path) ?? 0) > AN_HOUR) rmSync(path, { recursive: true, force: true })
  }
  const draft = `${folder}.${process.pid}`
  const tsc = join(
    dirname(createRequire(import.meta.url).resolve('typescript/package.json')),
    'bin/tsc',
  )
  // types are checked by `npm run types`
  execFileSync(process.execPath, [tsc, '-p', PROJECT, '--noCheck', '--outDir', draft])
  copyFileSync(join(ROOT, 'package.json'), join(draft, 'package.json'))
  // the package's exports lie in dist/: the examples import them by the package's own name
  symlinkSync('.', join(draft, 'dist'))
  try {
    renameSync(draft, folder)
  } catch (error) {
    // another process was quicker
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
}

/** Changes with every source file that is added, removed or saved. */
function fingerprint(): string {
  const hash = createHash('sha256')
  for (const source of SOURCES) {
    for (const file of filesOf(join(ROOT, source))) hash.update(`${file} ${modified(file)}\n`)
  }
  return hash.digest('hex').slice(0, 16)
}

function filesOf(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(?:ts|json)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

function modified(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs
}
