import type { OnProgress } from '../../core/progress.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import { type IngestOptions, openDatasetOrLogs } from '../../data/ingest.ts'
import { type LogFlags, type PairFlags, pairOptions, readOptions } from './data-flags.ts'

export interface LogOptions {
  readonly seed: number
  readonly maxRejects?: number | undefined
  readonly format?: string | undefined
  readonly signal?: AbortSignal
  readonly onProgress?: OnProgress
}

/** What a command is given as its logs: one dataset folder, opened as it is, or files to read. */
export function openLogs(paths: readonly string[], options: LogOptions): Promise<Dataset> {
  const { maxRejects, format, ...rest } = options
  return openDatasetOrLogs(paths, {
    ...rest,
    ...(maxRejects !== undefined && { maxRejects }),
    ...(format !== undefined && { format }),
  })
}

/** The same with all that the command's flags say of reading and labelling. Throws `option_invalid`. */
export async function openFlaggedLogs(
  paths: readonly string[],
  flags: LogFlags & PairFlags,
  options: Pick<IngestOptions, 'seed' | 'signal' | 'onProgress'>,
): Promise<Dataset> {
  const labelled = pairOptions(flags)
  const reading = readOptions({ ...flags, seed: String(options.seed) })
  const dataset = await openDatasetOrLogs(paths, { ...reading, ...options })
  return Object.keys(labelled).length > 0 ? { ...dataset, labelled } : dataset
}
