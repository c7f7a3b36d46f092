import { definedOnly } from '../core/defined.ts'
import type { Dataset, PairOptions } from './dataset/dataset.ts'
import { type IngestOptions, openDatasetOrLogs } from './ingest.ts'

/** How logs are read. Each option has the default of the `weir` command's flag with that name. */
export interface ReadLogsOptions extends Partial<Omit<IngestOptions, 'out'>> {
  /** which votes and scores label a pair of models; all of them by default */
  readonly labelled?: PairOptions
}

/**
 * Reads preference or outcome logs (JSON lines, CSV, Parquet or Arrow, plain or compressed) into a dataset in
 * memory, split into train, validation, calibration and test prompts. If the only path is a dataset folder
 * made by `weir data ingest`, it is opened as it is.
 *
 * Refused rows go to `options.rejectsPath`, by default `<first log>.rejects.jsonl` in the working folder.
 *
 * @param paths one or more files, folders or globs
 * @throws WeirError file_not_found, format_unknown, column_missing, too_many_rejects, dataset_invalid, cancelled
 */
export async function readLogs(
  paths: string | readonly string[],
  options: ReadLogsOptions = {},
): Promise<Dataset> {
  const { labelled, seed = 1, ...reading } = options
  const all = typeof paths === 'string' ? [paths] : paths
  const dataset = await openDatasetOrLogs(all, { ...reading, seed })
  return labelled ? { ...dataset, labelled } : dataset
}

/** Logs that have been read, or their paths. */
export type Logs = Dataset | string | readonly string[]

/** @throws WeirError any error of `readLogs` */
export async function datasetOf(
  logs: Logs,
  {
    seed,
    context,
    signal,
    onProgress,
  }: Undefinable<Pick<ReadLogsOptions, 'seed' | 'context' | 'signal' | 'onProgress'>>,
): Promise<Dataset> {
  if (typeof logs !== 'string' && !isList(logs)) return logs
  const keys = context && context.length > 0 ? context : undefined
  return readLogs(logs, definedOnly({ seed, context: keys, signal, onProgress }))
}

type Undefinable<T> = { readonly [K in keyof T]?: T[K] | undefined }

const isList = (logs: Dataset | readonly string[]): logs is readonly string[] => Array.isArray(logs)
