import { readdir, stat } from 'node:fs/promises'
import { join, normalize, resolve } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { specialKind } from '../../core/regular-file.ts'
import { STDIN } from './source.ts'

const LOG_NAME =
  /\.(jsonl|ndjson|json|csv|tsv|psv|parquet|pq|arrow|feather|ipc)(\.(gz|gzip|zst|zstd))?$/i

/**
 * Names that tools leave beside logs: hidden files (editors, `.ipynb_checkpoints`), what begins with `_`
 * (Spark's `_SUCCESS`, Delta's `_delta_log`), copies that editors and downloads keep, caches of Hugging Face
 * datasets, and JSON that describes a data set. Weir's own refused rows are among them.
 */
const BESIDE_LOGS = [
  /^[._~#]/,
  /[~#]$/,
  /\.(lock|tmp|temp|part|partial|crdownload|bak|swp|orig|old|log|md5|sha256|crc)$/i,
  /^cache-[0-9a-f]+\.arrow$/,
  /^(dataset_infos?|dataset_dict|state|croissant|metadata|package|package-lock|tsconfig)\.json$/i,
  /\.rejects\.jsonl$/,
  // what lm-eval and HELM write beside the files that are read
  /^results_\d{4}-\d\d-\d\dT.*\.json$/,
  /^(run_spec|scenario|stats|per_instance_stats|instances|display_\w+)\.json$/,
]

const isBeside = (name: string): boolean => BESIDE_LOGS.some((pattern) => pattern.test(name))

/**
 * Expands a path given by the user: a file, a folder (its logs by name, including subfolders), a pattern with
 * `*`, `**` or `?`, or `-` for standard input. Keeps the given order; sorted within a folder or pattern.
 *
 * Folders and patterns pass over what is no log (`BESIDE_LOGS`), Weir's datasets and bundles, and the paths in
 * `own`; a file that is named itself is always taken, as are hidden names where the pattern spells out the dot.
 *
 * @param own paths that this run writes
 */
export async function expandPaths(
  paths: readonly string[],
  own: readonly string[] = [],
): Promise<string[]> {
  const written = new Set(own.map((path) => resolve(path)))
  const files: string[] = []
  for (const path of paths) {
    if (path === STDIN) files.push(path)
    else if (await isFolder(path)) files.push(...(await logsIn(path, written)))
    else if (/[*?]/.test(path) && !(await exists(path))) {
      files.push(...(await matches(path, written)))
    } else files.push(path)
  }
  return files
}

async function logsIn(folder: string, written: ReadonlySet<string>): Promise<string[]> {
  const found = await filesUnder(folder, written, isBeside)
  const files = regular(found.filter(({ path }) => LOG_NAME.test(path)))
  if (files.length > 0) return files
  throw new WeirError('file_not_found', { path: `${folder} (a folder without logs in it)` })
}

async function matches(pattern: string, written: ReadonlySet<string>): Promise<string[]> {
  const parts = pattern.split('/')
  const firstWild = parts.findIndex((part) => /[*?]/.test(part))
  const base = parts.slice(0, firstWild).join('/') || (pattern.startsWith('/') ? '/' : '.')
  const wanted = globPattern(normalize(pattern))
  // what the pattern spells out is meant: `.cache/*.jsonl`, `*.rejects.jsonl`
  const spelt = parts.slice(firstWild).filter((part) => part !== '**' && isBeside(part))
  const speltName = (name: string): boolean => spelt.some((part) => globPattern(part).test(name))
  const under = await filesUnder(base, written, (name) => isBeside(name) && !speltName(name)).catch(
    () => [],
  )
  const matching = under.filter(({ path }) => wanted.test(path))
  // a pattern without an ending means the logs among what it matches
  const logs = matching.filter(({ path }) => LOG_NAME.test(path))
  const files = regular(/[*?]$/.test(parts.at(-1)!) && logs.length > 0 ? logs : matching)
  if (files.length > 0) return files
  throw new WeirError('file_not_found', { path: `${pattern} (no file matches)` })
}

/** `*` and `?` match within a folder, `**` across folders. */
function globPattern(glob: string): RegExp {
  const source = glob.replace(/\*\*\/|\*\*|[*?.+^${}()|[\]\\]/g, (token) => {
    if (token === '**/') return '(?:.*/)?'
    if (token === '**') return '.*'
    if (token === '*') return '[^/]*'
    return token === '?' ? '[^/]' : `\\${token}`
  })
  return new RegExp(`^${source}$`)
}

interface FoundFile {
  readonly path: string
  /** what it is, unless it is a regular file */
  readonly kind: string | undefined
}

/** Whether a folder with these files is a dataset or a bundle of Weir's. */
function isWeirFolder(names: readonly string[]): boolean {
  if (names.includes('dataset.json')) return names.includes('prompts.arrow')
  return names.includes('manifest.json') && names.some((name) => /\.(bin|onnx)$/.test(name))
}

/** The files under a folder, without names that `passed` says to pass over and without Weir's own folders. */
async function filesUnder(
  folder: string,
  written: ReadonlySet<string>,
  passed: (name: string) => boolean,
): Promise<FoundFile[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  if (isWeirFolder(entries.map(({ name }) => name))) return []
  const found = await Promise.all(
    entries.map(async (entry): Promise<FoundFile[]> => {
      const path = join(folder, entry.name)
      if (passed(entry.name) || written.has(resolve(path))) return []
      if (entry.isDirectory()) return filesUnder(path, written, passed)
      return [{ path, kind: specialKind(entry) }]
    }),
  )
  return found.flat().sort((a, b) => (a.path < b.path ? -1 : 1))
}

/**
 * The paths of files that were found in a folder. A link there may lead anywhere, and a FIFO or device may
 * never end.
 *
 * @throws file_unreadable
 */
function regular(files: readonly FoundFile[]): string[] {
  for (const { path, kind } of files) {
    if (kind === undefined) continue
    const reason = `it is ${kind}, found in a folder; expected files there (a link is read if you name it itself)`
    throw new WeirError('file_unreadable', { path, reason })
  }
  return files.map(({ path }) => path)
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined
}
