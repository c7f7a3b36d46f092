/** Reads logs into datasets. */
export type {
  Dataset,
  DatasetOutcomes,
  DatasetPreferences,
  PairOptions,
} from './dataset/dataset.ts'
export type { DatasetManifest } from './dataset/manifest.ts'
export { type Logs, type ReadLogsOptions, readLogs } from './read-logs.ts'
export { definePreset } from './readers/preset.ts'
export { registerReader } from './readers.ts'
export type { Mapping } from './rows/mapping.ts'
export type { LogRow, RawRecord, Reader, Reject } from './rows/reader.ts'
