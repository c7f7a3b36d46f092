import { promptHash } from '../../../core/hash.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import { type LogOptions, openLog } from '../../../data/source/log.ts'
import { openSource } from '../../../data/source/source.ts'
import { promptText } from '../../../models/decision/messages.ts'

/** A way to group the prompts: one name per prompt, undefined where it has none. */
export interface Grouping {
  readonly by: string
  readonly names: readonly (string | undefined)[]
}

export interface OriginOptions extends Pick<LogOptions, 'map' | 'scoreRange'> {
  /** a layout's name, instead of recognising it */
  readonly format?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * By which file and at what time a dataset's prompts were first logged, a name a prompt: what a dataset doesn't keep.
 * Reads the files once more. Empty where there is one file and no row has a time.
 */
export async function promptOrigins(
  paths: readonly string[],
  dataset: Dataset,
  { format, signal, map, scoreRange }: OriginOptions,
): Promise<Grouping[]> {
  const index = new Map(dataset.hashes.map((hash, i) => [hash, i]))
  const source = new Array<string | undefined>(dataset.prompts.length)
  const time = new Float64Array(dataset.prompts.length).fill(Number.NaN)
  for (const path of paths) {
    const log = await openLog(await openSource(path, signal), {
      decisions: new Map(),
      ...(format && { format }),
      ...(map && { map }),
      ...(scoreRange && { scoreRange }),
    })
    try {
      for await (const batch of log.rows()) {
        signal?.throwIfAborted()
        for (const row of batch) {
          if (row.kind === 'reject') continue
          const prompt = index.get(promptHash(promptText(row.prompt)))
          if (prompt === undefined) continue
          source[prompt] ??= path
          if (row.timestamp !== undefined && !(time[prompt]! <= row.timestamp)) {
            time[prompt] = row.timestamp
          }
        }
      }
    } finally {
      await log.close()
    }
  }
  const periods = periodNames(time)
  return [
    ...(paths.length > 1 ? [{ by: 'source', names: source }] : []),
    ...(periods ? [{ by: 'time', names: periods }] : []),
  ]
}

const DAY = 86_400
/** No more periods than this, so that each has prompts enough. */
const MOST_PERIODS = 24

/** Days, months or years in UTC, whichever are the finest that are not too many; seconds since 1970 in. */
export function periodNames(time: Float64Array): (string | undefined)[] | undefined {
  const known = time.filter((seconds) => !Number.isNaN(seconds))
  if (known.length === 0) return undefined
  let first = Number.POSITIVE_INFINITY
  let last = Number.NEGATIVE_INFINITY
  for (const seconds of known) {
    first = Math.min(first, seconds)
    last = Math.max(last, seconds)
  }
  const days = (last - first) / DAY
  // letters of an ISO date that name the period: 2024-05-17, 2024-05, 2024
  const letters = days <= MOST_PERIODS ? 10 : days <= MOST_PERIODS * 30 ? 7 : 4
  return Array.from(time, (seconds) =>
    Number.isNaN(seconds) ? undefined : new Date(seconds * 1000).toISOString().slice(0, letters),
  )
}
