import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { WeirError } from '../models/errors.ts'
import type { OnProgress } from '../models/progress.ts'
import { type Dataset, type DatasetManifest, openDataset } from './dataset.ts'
import { DatasetBuilder } from './dataset-builder.ts'
import { replaceFolder } from './folder.ts'
import { type LogOptions, openLog } from './log.ts'
import { RejectsFile } from './rejects-file.ts'
import { openSource } from './source.ts'
import { DEFAULT_FRACTIONS, type SplitFractions } from './split.ts'

export interface IngestOptions extends LogOptions {
  /** the dataset folder; an older dataset there is replaced */
  readonly out: string
  readonly seed: number
  readonly fractions?: SplitFractions
  /** the part of the rows that may be refused; 0.01 by default */
  readonly maxRejects?: number
  /** where refused rows go; `<out>.rejects.jsonl` by default */
  readonly rejectsPath?: string
  readonly signal?: AbortSignal
  readonly onProgress?: OnProgress
}

export interface IngestSummary {
  readonly manifest: DatasetManifest
  /** where the refused rows are, if there are any */
  readonly rejectsPath?: string
}

export const DEFAULT_MAX_REJECTS = 0.01

/**
 * Reads logs into a dataset folder, whole or not at all. Throws `too_many_rejects` past `maxRejects`, and
 * what opening and reading the files throws.
 */
export async function ingest(
  paths: readonly string[],
  options: IngestOptions,
): Promise<IngestSummary> {
  const { signal, onProgress } = options
  const rejects = new RejectsFile(options.rejectsPath ?? `${options.out}.rejects.jsonl`)
  const sources = await Promise.all(paths.map((path) => openSource(path, signal)))
  const total = sources.reduce((sum, source) => sum + source.size, 0)

  const manifest = await replaceFolder(options.out, async (folder) => {
    await rejects.start()
    const builder = await DatasetBuilder.create(folder)
    try {
      let done = 0
      for (const source of sources) {
        const log = await openLog(source, options)
        for await (const batch of log.rows) {
          for (const row of batch) {
            if (row.kind === 'reject') await rejects.write(row)
            builder.add(row)
          }
          await builder.flush()
          onProgress?.({
            stage: 'reading',
            done: done + source.bytesRead(),
            total,
            note: `${builder.rows.read} rows`,
          })
        }
        await builder.endSource(source, log.format)
        done += source.size
      }
      await rejects.close()
      checkRejects(rejects, builder.rows.read, options.maxRejects ?? DEFAULT_MAX_REJECTS)
      return await builder.finish(options.seed, options.fractions ?? DEFAULT_FRACTIONS, signal)
    } finally {
      await rejects.close()
      await builder.close()
    }
  })
  return { manifest, ...(rejects.count > 0 && { rejectsPath: rejects.path }) }
}

/** The logs as a dataset that is not kept. Rejects go to `<first log>.rejects.jsonl` where it was run. */
export async function readLogs(
  paths: readonly string[],
  options: Omit<IngestOptions, 'out'>,
): Promise<Dataset> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-'))
  try {
    const out = join(folder, 'dataset')
    const rejectsPath = options.rejectsPath ?? `${basename(paths[0] ?? 'log')}.rejects.jsonl`
    await ingest(paths, { ...options, out, rejectsPath })
    return await openDataset(out)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function checkRejects(rejects: RejectsFile, read: number, limit: number): void {
  if (rejects.count <= limit * read) return
  throw new WeirError('too_many_rejects', {
    rejected: rejects.count,
    read,
    limit,
    rejects: rejects.path,
    first: rejects.first,
  })
}
