import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { openTerminal } from './terminal/terminal.ts'

/**
 * `npm run size`: what the package takes, installed from its tarball as a user does, and what its exports load. Exits with 1
 * where a limit is passed. Needs the npm registry and half a minute.
 */
const ROOT = resolve(import.meta.dirname, '..')
/** Without it, onnxruntime-node's install script downloads CUDA libraries on Linux x64. */
const SKIP_CUDA = { ONNXRUNTIME_NODE_INSTALL: 'skip' }
const MB = 1e6
const LIMITS = { bare: 60 * MB, default: 330 * MB, client: 100_000 }
const { print } = openTerminal()

const work = await mkdtemp(join(tmpdir(), 'weir-size-'))
try {
  const packed = npm(ROOT, 'pack', ROOT, '--pack-destination', work, '--silent')
  const tarball = join(work, packed.trim().split('\n').at(-1)!)
  print(`tarball: ${mb((await stat(tarball)).size)}`)
  const bare = await installed('bare', tarball, '--omit=optional')
  await report('npm i --omit=optional', bare, LIMITS.bare)
  const whole = await installed('default', tarball)
  await report('npm i', whole, LIMITS.default)
  for (const name of ['client', 'router', 'server', 'fastify', '']) await loaded(bare, name)
  await bundledClient(bare)
} finally {
  await rm(work, { recursive: true, force: true })
}

function npm(cwd: string, ...args: readonly string[]): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', env: { ...process.env, ...SKIP_CUDA } })
}

/** An empty project with the package in it. @returns its folder */
async function installed(name: string, tarball: string, ...flags: readonly string[]) {
  const folder = join(work, name)
  await mkdir(folder)
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error']
  npm(folder, 'install', ...quiet, ...flags, tarball)
  return folder
}

async function report(what: string, folder: string, limit: number): Promise<void> {
  const modules = join(folder, 'node_modules')
  const total = await sizeOf(modules)
  check(what, total, limit)
  const packages: [string, number][] = []
  for (const name of await readdir(modules)) {
    if (name.startsWith('.')) continue
    const scoped = name.startsWith('@')
    const inside = scoped
      ? (await readdir(join(modules, name))).map((one) => `${name}/${one}`)
      : [name]
    for (const one of inside) packages.push([one, await sizeOf(join(modules, one))])
  }
  packages.sort(([, a], [, b]) => b - a)
  for (const [name, bytes] of packages.slice(0, 8)) print(`    ${mb(bytes).padStart(9)}  ${name}`)
}

/** Processor time and memory of a program that only imports one export. */
async function loaded(folder: string, name: string): Promise<void> {
  const path = name === '' ? 'weir-router' : `weir-router/${name}`
  const program = join(folder, 'program.mjs')
  await writeFile(
    program,
    `await import('${path}')
const { user, system } = process.cpuUsage()
console.log(Math.round((user + system) / 1000), process.memoryUsage().rss)`,
  )
  const [ms, rss] = execFileSync(process.execPath, [program], { cwd: folder, encoding: 'utf8' })
    .split(' ')
    .map(Number)
  print(`import '${path}': ${ms} ms of processor time, ${mb(rss!)} of memory`)
}

async function bundledClient(folder: string): Promise<void> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: `export * from 'weir-router/client'`, resolveDir: folder },
    bundle: true,
    minify: true,
    // fails where a module of Node or a native one is imported
    platform: 'browser',
    format: 'esm',
    metafile: true,
    write: false,
  })
  const native = Object.keys(metafile.inputs).filter((input) => input.endsWith('.node'))
  if (native.length > 0) throw new Error(`the client bundles native code: ${native.join(', ')}`)
  check('weir-router/client bundled by esbuild', outputFiles[0]!.contents.length, LIMITS.client)
}

function check(what: string, bytes: number, limit: number): void {
  const size = (each: number): string => (limit < MB ? `${(each / 1000).toFixed(1)} kB` : mb(each))
  print(`${bytes < limit ? 'ok    ' : 'FAILED'} ${what}: ${size(bytes)}, limit ${size(limit)}`)
  if (bytes >= limit) process.exitCode = 1
}

/** Bytes of all files under a folder. */
async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const sizes = await Promise.all(files.map((file) => stat(join(file.parentPath, file.name))))
  return sizes.reduce((sum, { size }) => sum + size, 0)
}

function mb(bytes: number): string {
  return `${(bytes / MB).toFixed(1)} MB`
}
