import { WeirError } from '../core/errors.ts'
import { alpacaEvalReader } from './readers/alpaca-eval.ts'
import { arenaConversationReader, arenaKaggleReader } from './readers/arena.ts'
import { canonicalReader } from './readers/canonical.ts'
import { judgeScoreReader } from './readers/judge-score.ts'
import { routerBenchReader } from './readers/router-bench.ts'
import { weirLogReader } from './readers/weir-log.ts'
import { wideReader } from './readers/wide.ts'
import type { RawRecord, Reader } from './rows/reader.ts'

/** Every known layout, the more particular before the more general. */
export const READERS: readonly Reader[] = [
  weirLogReader,
  arenaKaggleReader,
  arenaConversationReader,
  alpacaEvalReader,
  judgeScoreReader,
  canonicalReader,
  routerBenchReader,
  wideReader,
]

/**
 * The layout of a file, from its first records or by name. Throws `column_missing` where it is nearly a
 * known layout, and `format_unknown` otherwise.
 */
export function findReader(
  path: string,
  columns: ReadonlySet<string>,
  sample: readonly RawRecord[],
  format?: string,
): Reader {
  const reader = format
    ? READERS.find((known) => known.name === format)
    : READERS.find((known) => known.recognises(columns, sample))
  if (format && !reader) {
    throw new WeirError('option_invalid', {
      option: '--format',
      expected: `one of ${READERS.map((known) => known.name).join(', ')}`,
      got: format,
    })
  }
  const missing = missingColumn(columns, reader)
  if (missing) throw new WeirError('column_missing', { column: missing, path, got: [...columns] })
  if (!reader) {
    throw new WeirError('format_unknown', {
      path,
      expected: READERS.map((known) => known.name).join(', '),
      got: [...columns].join(', ') || 'none',
    })
  }
  return reader
}

function missingColumn(
  columns: ReadonlySet<string>,
  reader: Reader | undefined,
): string | undefined {
  if (reader) return reader.required.find((column) => !columns.has(column))
  const preference = ['model_a', 'model_b', 'winner']
  if (preference.some((column) => columns.has(column))) {
    return ['prompt', ...preference].find((column) => !columns.has(column))
  }
  return columns.has('prompt') ? undefined : 'prompt'
}
