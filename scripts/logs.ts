import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Dataset, openDataset } from '../data/dataset.ts'
import { readLogs } from '../data/ingest.ts'
import type { OnProgress } from '../models/progress.ts'

export interface LogOptions {
  readonly seed: number
  readonly maxRejects?: number | undefined
  readonly format?: string | undefined
  readonly signal?: AbortSignal
  readonly onProgress?: OnProgress
}

/** What a command is given as its logs: one dataset folder, opened as it is, or files to read. */
export async function openLogs(paths: readonly string[], options: LogOptions): Promise<Dataset> {
  const only = paths.length === 1 ? paths[0]! : undefined
  if (only && (await exists(join(only, 'dataset.json')))) return openDataset(only)
  return readLogs(paths, {
    seed: options.seed,
    ...(options.maxRejects === undefined ? {} : { maxRejects: options.maxRejects }),
    ...(options.format === undefined ? {} : { format: options.format }),
    ...(options.signal ? { signal: options.signal } : {}),
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
  })
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
