import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { openTerminal } from '../terminal/terminal.ts'
import { PageFault, PageSession } from './session.ts'

/**
 * `npm run try:newcomer`: follows README and the task pages as somebody would who has just found them, with an empty
 * home folder: every file that a page shows is written, every command of its `sh` and `console` blocks but `npm ci` is run as
 * printed, and what it prints is compared with the page. By default in a fresh clone of the last commit, after `npm ci`;
 * `--short` uses this folder's build and its dependencies. Pages may be named: `npm run try:newcomer -- docs/tasks/rules.md`.
 */
const ROOT = resolve(import.meta.dirname, '../..')
const TASKS = 'docs/tasks'
/** Pages whose blocks are run, beside those of docs/tasks. They use what README makes. */
const PAGES = ['README.md', 'docs/evaluation.md', 'docs/policies.md']

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { short: { type: 'boolean', default: false } },
})
const terminal = openTerminal()

const work = await mkdtemp(join(tmpdir(), 'weir-newcomer-'))
try {
  const home = join(work, 'home')
  const folder = join(work, 'weir')
  await mkdir(home)
  const env = environment(home)
  if (values.short) await likeAClone(folder)
  else clone(folder, env)
  const names = positionals.length > 0 ? positionals : await pages()
  let failed = 0
  for (const name of names) {
    const begun = Date.now()
    const session = await PageSession.open(folder, env)
    try {
      const commands = await session.run(name, await readFile(join(ROOT, name), 'utf8'))
      terminal.print(`ok     ${name}: ${commands} commands, ${seconds(begun)}`)
    } catch (error) {
      if (!(error instanceof PageFault)) throw error
      failed++
      terminal.print(`FAILED ${error.message}`)
    } finally {
      await session.close()
    }
  }
  if (failed > 0) process.exitCode = 1
} finally {
  await rm(work, { recursive: true, force: true, maxRetries: 3 })
}

async function pages(): Promise<string[]> {
  const tasks = await readdir(join(ROOT, TASKS))
  return [
    ...PAGES,
    ...tasks.filter((name) => name !== 'README.md').map((name) => `${TASKS}/${name}`),
  ]
}

/** A new user's: no settings, no caches, no keys. */
function environment(home: string): Record<string, string> {
  const { PATH = '', HTTPS_PROXY, https_proxy, npm_config_registry } = process.env
  const network = { HTTPS_PROXY, https_proxy, npm_config_registry }
  const given = Object.entries(network).filter((entry): entry is [string, string] => !!entry[1])
  return { PATH, HOME: home, TMPDIR: tmpdir(), ...Object.fromEntries(given) }
}

function clone(folder: string, env: Record<string, string>): void {
  const begun = Date.now()
  execFileSync('git', ['clone', '--quiet', '--depth', '1', `file://${ROOT}`, folder])
  execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  terminal.print(`ok     git clone and npm ci: ${seconds(begun)}`)
}

/** A folder with everything of this one but what commands write. */
async function likeAClone(folder: string): Promise<void> {
  await mkdir(folder)
  const ours = execFileSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' }).split('\n')
  const entries = new Set(ours.filter(Boolean).map((file) => file.split('/')[0]!))
  for (const entry of [...entries, 'node_modules', 'dist']) {
    await symlink(join(ROOT, entry), join(folder, entry))
  }
}

function seconds(since: number): string {
  return `${Math.round((Date.now() - since) / 1000)} s`
}
