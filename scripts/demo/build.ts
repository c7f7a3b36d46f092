import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const SOURCES = ['console', 'core', 'data', 'models', 'records', 'scripts', 'serving', 'training']

/** True if there is no build or a source file is newer than it. */
export function buildNeeded(root: string): boolean {
  const built = modified(join(root, 'dist/scripts/weir.js'))
  if (built === undefined) return true
  return SOURCES.some((folder) => newestSource(join(root, folder)) > built)
}

function newestSource(folder: string): number {
  let newest = 0
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !/\.(ts|tsx|css|html)$/.test(entry.name)) continue
    newest = Math.max(newest, modified(join(entry.parentPath, entry.name)) ?? 0)
  }
  return newest
}

function modified(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs
}
