import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, posix, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'

const ROOT = resolve(import.meta.dirname, '..')
const NODE_22 = ['node@22', 'npm@10']
/** Folders of `scripts/` that are only for development of Weir. */
const DEVELOPMENT = /^dist\/scripts\/(?:bench|eval|sample|demo)\//
/** Without it, onnxruntime-node's install script downloads CUDA libraries on Linux x64. */
const SKIP_CUDA = { ONNXRUNTIME_NODE_INSTALL: 'skip' }

export interface Manifest {
  readonly version: string
  readonly exports: Record<string, unknown>
  readonly dependencies: Record<string, string>
  readonly optionalDependencies: Record<string, string>
  readonly peerDependencies: Record<string, string>
  readonly devDependencies: Record<string, string>
}

/** What a module imports, types included: relative paths, packages and Node's own modules as written. */
export function specifiers(source: string): string[] {
  const text = source.replace(/\/\*[\s\S]*?\*\//g, '')
  const imports = text.matchAll(/(?:\bfrom|\bimport\(|^import)\s*['"]([@.]?[\w./-]+)['"]/gm)
  return [...imports].map(([, specifier]) => specifier!)
}

/**
 * The packages that a module imports although users who install Weir do not get them and are not told of
 * them.
 */
export function foreignPackages(source: string, manifest: Manifest): string[] {
  const { dependencies, optionalDependencies, peerDependencies } = manifest
  return specifiers(source)
    .filter((specifier) => !specifier.startsWith('.') && !isBuiltin(specifier))
    .map((specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'))
    .filter((name) => {
      const groups = [dependencies, optionalDependencies, peerDependencies]
      return !groups.some((group) => Object.hasOwn(group, name))
    })
}

/** Faults in the files of an unpacked tarball. */
export async function findFileFaults(folder: string, manifest: Manifest): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => posix.relative(folder, join(entry.parentPath, entry.name)))
  const known = new Set(files)
  const faults = files.filter((file) => DEVELOPMENT.test(file)).map((file) => `${file} is packed`)
  for (const file of files.filter((name) => /\.(?:js|d\.ts)$/.test(name))) {
    const source = await readFile(join(folder, file), 'utf8')
    for (const name of foreignPackages(source, manifest)) faults.push(`${file} imports ${name}`)
    for (const specifier of specifiers(source)) {
      if (!specifier.startsWith('.')) continue
      const at = posix.join(posix.dirname(file), specifier)
      // declarations name the source, x.ts, and TypeScript reads x.d.ts
      const target = file.endsWith('.d.ts') ? at.replace(/\.(?:ts|js)$/, '.d.ts') : at
      if (!known.has(target)) faults.push(`${file} imports ${specifier}, which is not packed`)
    }
  }
  return faults
}

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

interface Node {
  readonly node: string
  /** npm's JavaScript file */
  readonly npm: string
}

/** An empty project with a package.json, as a user would have, run with one version of Node. */
class Project {
  private readonly folder: string
  private readonly version: Node

  private constructor(folder: string, version: Node) {
    this.folder = folder
    this.version = version
  }

  static async create(folder: string, version: Node): Promise<Project> {
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
    return new Project(folder, version)
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts)
  }

  async run(file: string, args: readonly string[] = []): Promise<Ran> {
    const { PATH, HOME, HTTPS_PROXY, https_proxy, npm_config_registry } = process.env
    const path = [dirname(this.version.node), PATH].join(delimiter)
    const npm = { HTTPS_PROXY, https_proxy, npm_config_registry }
    const env = { HOME, PATH: path, ...npm, ...SKIP_CUDA }
    const options = { cwd: this.folder, env, maxBuffer: 2 ** 26 }
    try {
      const ran = await promisify(execFile)(this.version.node, [file, ...args], options)
      return { code: 0, ...ran }
    } catch (error) {
      const { code, stdout, stderr } = error as Ran
      if (typeof code !== 'number') throw error
      return { code, stdout, stderr }
    }
  }

  async install(...args: readonly string[]): Promise<void> {
    const flags = ['--engine-strict', '--prefer-offline', '--no-audit', '--no-fund']
    const { code, stderr } = await this.run(this.version.npm, ['install', ...flags, ...args])
    check(`npm install ${args.join(' ')}`, code === 0, stderr)
  }

  weir(...args: readonly string[]): Promise<Ran> {
    return this.run(this.path('node_modules/weir-router/dist/scripts/weir.js'), args)
  }

  async program(source: string): Promise<Ran> {
    const file = this.path('program.mjs')
    await writeFile(file, source)
    return this.run(file)
  }
}

let failures = 0

function check(what: string, holds: boolean, details = ''): void {
  console.log(`${holds ? 'ok    ' : 'FAILED'} ${what}`)
  if (holds) return
  failures++
  if (details) console.log(details.trim().replace(/^/gm, '       '))
}

async function checkTarball(work: string, here: Node): Promise<string> {
  const project = await Project.create(join(work, 'pack'), here)
  // outputs of deleted sources would be packed too; `npm pack` builds
  await rm(join(ROOT, 'dist'), { recursive: true, force: true })
  const packed = await project.run(here.npm, ['pack', ROOT, '--pack-destination', work, '--silent'])
  check('npm pack', packed.code === 0, packed.stderr)
  const tarball = join(work, packed.stdout.trim().split('\n').at(-1)!)
  const publint = await project.run(bin('publint/src/cli.js'), ['run', '--strict', tarball])
  check('publint', publint.code === 0, publint.stdout + publint.stderr)
  const attw = ['--profile', 'esm-only', tarball]
  const types = await project.run(bin('@arethetypeswrong/cli/dist/index.js'), attw)
  check('attw --profile esm-only', types.code === 0, types.stdout + types.stderr)
  return tarball
}

const bin = (file: string): string => join(ROOT, 'node_modules', file)

/** Every command and export of the installed package, with all its default dependencies. */
async function checkInstalled(project: Project, manifest: Manifest): Promise<void> {
  const { stdout, stderr } = await project.weir('--version')
  check('weir --version', stdout.trim() === manifest.version, stdout + stderr)
  for (const path of Object.keys(manifest.exports)) {
    // test suites load only inside a test run
    if (path === './package.json' || path === './testing') continue
    const name = posix.join('weir-router', path)
    const loaded = await project.program(`console.log(Object.keys(await import('${name}')).join())`)
    check(`import('${name}')`, loaded.code === 0 && loaded.stdout.trim() !== '', loaded.stderr)
  }
}

/**
 * `npm i --omit=optional`: a folded lexical router is served, and commands that need the runtime say what to
 * install.
 */
async function checkWithoutRuntime(project: Project, bundle: string, log: string): Promise<void> {
  const runtime = project.path('node_modules/onnxruntime-node')
  check('onnxruntime-node is left out', !existsSync(runtime))
  const routed = await project.program(`
import { WeirClient } from 'weir-router/client'
import { loadRouter } from 'weir-router/router'
import { runServer } from 'weir-router/server'
const router = await loadRouter(${JSON.stringify(bundle)})
const { model } = await router.route({ prompt: 'Say hello' })
await router.close()
const server = await runServer({ routers: [{ path: ${JSON.stringify(bundle)} }] }, {
  host: '127.0.0.1', port: 0, onBug: console.error, onWarning: console.error,
})
const served = await new WeirClient({ baseUrl: server.url }).route('Say hello')
await server.close()
console.log(model === served.model ? 'same' : 'different')
`)
  check('a folded lexical router routes and serves', routed.stdout.trim() === 'same', routed.stderr)
  const trained = await project.weir('train', log, ...PAIR, '--out', project.path('bundles'))
  check(
    'weir train says what to install',
    trained.code === 1 && /npm i --ignore-scripts onnxruntime-node@/.test(trained.stderr),
    trained.stderr,
  )
}

const PAIR = ['--strong', 'big-1', '--weak', 'small-1', '--name', 'check']

/**
 * `npm run check:package`: packs the package and uses it as a user would. publint and attw check the types
 * and exports; it is installed with this Node and npm, with Node 22 and npm 10, and without optional
 * dependencies; commands, exports and examples run. Needs the npm registry and some minutes; exits with 1 if
 * anything fails.
 */
async function main(): Promise<void> {
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as Manifest
  const npm = process.env.npm_execpath
  if (npm === undefined) throw new Error('run it as `npm run check:package`')
  const here: Node = { node: process.execPath, npm }
  const work = await mkdtemp(join(tmpdir(), 'weir-package-'))
  try {
    const tarball = await checkTarball(work, here)

    console.log(`\nNode ${process.versions.node}`)
    const first = await Project.create(join(work, 'first'), here)
    await first.install(tarball, `vitest@${manifest.devDependencies.vitest!}`)
    const faults = await findFileFaults(first.path('node_modules/weir-router'), manifest)
    check('every import of every file is there', faults.length === 0, faults.join('\n'))
    await checkInstalled(first, manifest)
    await cp(join(ROOT, 'examples'), first.path('examples'), { recursive: true })
    const suite = ['run', 'examples/contract.test.ts']
    const tested = await first.run(first.path('node_modules/vitest/vitest.mjs'), suite)
    check('examples/contract.test.ts', tested.code === 0, tested.stdout + tested.stderr)
    const log = first.path('log.jsonl')
    const sample = gunzipSync(await readFile(join(ROOT, 'data/sample/outcomes.jsonl.gz')))
    await writeFile(log, sample.toString().split('\n').slice(0, 1500).join('\n'))
    const trained = await first.weir('train', log, ...PAIR, '--out', first.path('bundles'))
    check('weir train', trained.code === 0, trained.stderr)
    const bundle = first.path('bundles/check')

    console.log('\nwithout optional dependencies')
    const bare = await Project.create(join(work, 'bare'), here)
    await bare.install('--omit=optional', tarball)
    await checkWithoutRuntime(bare, bundle, log)

    console.log('\nNode 22, npm 10')
    const tools = await Project.create(join(work, 'tools'), here)
    await tools.install(...NODE_22)
    const second = await Project.create(join(work, 'second'), {
      node: tools.path('node_modules/node/bin/node'),
      npm: tools.path('node_modules/npm/bin/npm-cli.js'),
    })
    await second.install(tarball)
    await checkInstalled(second, manifest)
    await cp(join(ROOT, 'examples'), second.path('examples'), { recursive: true })
    for (const name of ['router', 'server', 'fastify']) {
      const ran = await second.run(second.path(`examples/${name}.ts`), [bundle])
      check(`examples/${name}.ts`, ran.code === 0, ran.stderr)
    }
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  if (failures > 0) process.exitCode = 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
