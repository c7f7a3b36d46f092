import { definedOnly } from '../../../core/defined.ts'
import { promptHash } from '../../../core/hash.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import { type LogOptions, openLog } from '../../../data/source/log.ts'
import { gatherScores, type ScoresOptions } from '../../../data/source/scores.ts'
import { openSource } from '../../../data/source/source.ts'
import { transcript } from '../../../models/reading/transcript.ts'

/** A way to group the prompts: one name per prompt, undefined if the prompt has none. */
export interface Grouping {
  readonly by: string
  readonly names: readonly (string | undefined)[]
}

export interface OriginOptions extends Omit<LogOptions, 'format' | 'joined'>, ScoresOptions {
  /** a layout's name; recognised automatically without it */
  readonly format?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * The file and the time in which each prompt of a dataset was first logged, one name per prompt; a dataset
 * does not store them, so the files are read again. Empty if there is one file and no row has a time.
 */
export async function promptOrigins(
  paths: readonly string[],
  dataset: Dataset,
  { format, signal, ...reading }: OriginOptions,
): Promise<Grouping[]> {
  const index = new Map(dataset.hashes.map((hash, i) => [hash, i]))
  const source = new Array<string | undefined>(dataset.prompts.length)
  const time = new Float64Array(dataset.prompts.length).fill(Number.NaN)
  const sources = await Promise.all(paths.map((path) => openSource(path, signal)))
  const { logs, joined } = await gatherScores(sources, reading, undefined, signal)
  for (const file of logs) {
    const log = await openLog(
      file,
      definedOnly({
        ...reading,
        decisions: new Map(),
        format,
        joined,
      }),
    )
    try {
      for await (const batch of log.rows()) {
        signal?.throwIfAborted()
        for (const row of batch) {
          if (row.kind === 'reject' || row.kind === 'left_out') continue
          const text = transcript(row.prompt, row.system, row.tools, row.context)
          const prompt = index.get(promptHash(text))
          if (prompt === undefined) continue
          source[prompt] ??= file.path
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
/** Maximum number of periods, so that each has enough prompts. */
const MOST_PERIODS = 24

/** Days, months or years in UTC, the finest that give at most MOST_PERIODS; the input is seconds since 1970. */
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
  // how many letters of an ISO date name the period: 2024-05-17, 2024-05, 2024
  const letters = days <= MOST_PERIODS ? 10 : days <= MOST_PERIODS * 30 ? 7 : 4
  return Array.from(time, (seconds) =>
    Number.isNaN(seconds) ? undefined : new Date(seconds * 1000).toISOString().slice(0, letters),
  )
}
