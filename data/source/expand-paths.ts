import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { specialKind } from '../../core/regular-file.ts'
import { STDIN } from './source.ts'

const LOG_NAME = /\.(jsonl|ndjson|json|csv|tsv|parquet|arrow|feather)(\.gz|\.zst)?$/i

/**
 * Expands a path given by the user: a file, a folder (its logs by name, including subfolders), a pattern with
 * `*`, `**` or `?`, or `-` for standard input. Keeps the given order; sorted within a folder or pattern.
 */
export async function expandPaths(paths: readonly string[]): Promise<string[]> {
  const files: string[] = []
  for (const path of paths) {
    if (path === STDIN) files.push(path)
    else if (await isFolder(path)) files.push(...(await logsIn(path)))
    else if (/[*?]/.test(path) && !(await exists(path))) files.push(...(await matches(path)))
    else files.push(path)
  }
  return files
}

async function logsIn(folder: string): Promise<string[]> {
  const files = regular((await filesUnder(folder)).filter(({ path }) => LOG_NAME.test(path)))
  if (files.length > 0) return files
  throw new WeirError('file_not_found', { path: `${folder} (a folder without logs in it)` })
}

async function matches(pattern: string): Promise<string[]> {
  const parts = pattern.split('/')
  const firstWild = parts.findIndex((part) => /[*?]/.test(part))
  const base = parts.slice(0, firstWild).join('/') || (pattern.startsWith('/') ? '/' : '.')
  const wanted = globPattern(pattern)
  const under = await filesUnder(base).catch(() => [])
  const files = regular(
    under.filter(({ path }) => wanted.test(pattern.startsWith('..') ? `./${path}` : path)),
  )
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

async function filesUnder(folder: string): Promise<FoundFile[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => ({ path: join(entry.parentPath, entry.name), kind: specialKind(entry) }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
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
