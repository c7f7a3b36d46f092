import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openTerminal, table } from './terminal/terminal.ts'

/** `npm run licences` and `npm run audit`: what the package's users install, apart from what builds it. */

/** Licences that a user of an Apache-2.0 package may receive without further duties than their notices. */
export const ACCEPTED: readonly string[] = [
  'MIT',
  'MIT-0',
  'ISC',
  '0BSD',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'Python-2.0',
  'CC0-1.0',
  'Unlicense',
]

export interface Installed {
  readonly name: string
  readonly version: string
  readonly licence: string
}

/** Whether one of the alternatives of an SPDX expression without nesting is accepted in all its parts. */
export const isAccepted = (licence: string): boolean =>
  licence
    .replace(/[()]/g, '')
    .split(/\s+OR\s+/)
    .some((option) => option.split(/\s+AND\s+/).every((part) => ACCEPTED.includes(part)))

interface LockedPackage {
  readonly version?: string
  readonly license?: string
  readonly dev?: boolean
  /** an optional peer, which the user installs or not */
  readonly peer?: boolean
  readonly link?: boolean
}

/** Every package of the lockfile that is not only for development, by name; the licence is what it states. */
export function installed(root: string): Installed[] {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockedPackage>>
  }
  return Object.entries(lock.packages)
    .filter(([path, { dev, peer, link }]) => path !== '' && !dev && !peer && !link)
    .map(([path, { version = '', license }]) => ({
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version,
      licence: license ?? 'none stated',
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function licences(root: string): number {
  const { print } = openTerminal()
  const packages = installed(root)
  print(table([['package', 'version', 'licence'], ...packages.map((one) => Object.values(one))]))
  const refused = packages.filter(({ licence }) => !isAccepted(licence))
  print(`${packages.length} packages; not on the list of accepted licences: ${refused.length}`)
  for (const { name, licence } of refused) print(`  ${name}: ${licence}`)
  return refused.length > 0 ? 1 : 0
}

/** Fails for an advisory of level high or above; a registry that serves no advisories is said and passed over. */
function audit(root: string): number {
  const { print } = openTerminal()
  const args = ['audit', '--omit=dev', '--audit-level=high', '--json']
  const { stdout } = spawnSync('npm', args, { cwd: root, encoding: 'utf8', timeout: 60_000 })
  let report: { readonly message?: string; readonly metadata?: { vulnerabilities: object } }
  try {
    report = JSON.parse(stdout) as typeof report
  } catch {
    report = { message: 'no answer' }
  }
  if (!report.metadata) {
    print(
      `npm audit: skipped, the registry serves no advisories (${report.message ?? 'no report'})`,
    )
    return 0
  }
  const found = report.metadata.vulnerabilities as Readonly<Record<string, number>>
  print(`npm audit: ${JSON.stringify(found)}`)
  return (found.high ?? 0) + (found.critical ?? 0) > 0 ? 1 : 0
}

const script = fileURLToPath(import.meta.url)
if (process.argv[1] === script) {
  const root = dirname(dirname(script))
  process.exitCode = process.argv[2] === 'audit' ? audit(root) : licences(root)
}
