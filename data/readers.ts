import { WeirError } from '../core/errors.ts'
import { adviseOn, holdsOnlyPrompts } from './readers/advice.ts'
import { alpacaEvalReader } from './readers/alpaca-eval.ts'
import { arenaConversationReader, arenaKaggleReader } from './readers/arena.ts'
import { CANONICAL_COLUMNS, canonicalReader } from './readers/canonical.ts'
import { judgeScoreReader } from './readers/judge-score.ts'
import { FIELD_NAMES, longReader, plainName } from './readers/long.ts'
import { braintrustPreset } from './readers/presets/braintrust.ts'
import { heliconePreset } from './readers/presets/helicone.ts'
import { helmPreset } from './readers/presets/helm.ts'
import { inspectPreset } from './readers/presets/inspect.ts'
import { langfusePreset, langfuseScores } from './readers/presets/langfuse.ts'
import { langSmithFeedback, langSmithPreset } from './readers/presets/langsmith.ts'
import { litellmPreset } from './readers/presets/litellm.ts'
import { llmRouterPreset } from './readers/presets/llmrouter.ts'
import { lmEvalPreset } from './readers/presets/lm-eval.ts'
import { openaiEvalsPreset, openaiPreferencePreset } from './readers/presets/openai.ts'
import { otelPreset, otelScores } from './readers/presets/otel.ts'
import { preferencePairsPreset, ultraFeedbackPreset } from './readers/presets/preference-pairs.ts'
import { promptfooPreset } from './readers/presets/promptfoo.ts'
import { tensorZeroFeedback, tensorZeroPreset } from './readers/presets/tensorzero.ts'
import { routerBenchReader } from './readers/router-bench.ts'
import { weirLogReader } from './readers/weir-log.ts'
import { wideReader } from './readers/wide.ts'
import type { RawRecord, Reader, ScoreFile } from './rows/reader.ts'

const readers: Reader[] = [
  weirLogReader,
  lmEvalPreset,
  promptfooPreset,
  inspectPreset,
  helmPreset,
  openaiEvalsPreset,
  openaiPreferencePreset,
  preferencePairsPreset,
  ultraFeedbackPreset,
  langfusePreset,
  langSmithPreset,
  braintrustPreset,
  heliconePreset,
  litellmPreset,
  tensorZeroPreset,
  otelPreset,
  llmRouterPreset,
  arenaKaggleReader,
  arenaConversationReader,
  alpacaEvalReader,
  judgeScoreReader,
  canonicalReader,
  routerBenchReader,
  longReader,
  wideReader,
]

/** Every known layout, more specific ones first. */
export const READERS: readonly Reader[] = readers

/** Layouts of files that hold scores alone, which are joined with the rows of other files. */
export const SCORE_FILES: readonly ScoreFile[] = [
  langfuseScores,
  langSmithFeedback,
  tensorZeroFeedback,
  otelScores,
]

const ours = new Set(readers.map(({ name }) => name))

/** Whether worker threads know the layout; those added by `registerReader` are read on this thread only. */
export const isKnownToThreads = (format: string): boolean => ours.has(format)

/**
 * Adds a log layout, which is tried before Weir's own; `checkReader` of `weir-router/testing` checks whether
 * it fulfils the contract.
 *
 * @throws option_invalid if the name is taken
 */
export function registerReader(reader: Reader): void {
  if (readers.some(({ name }) => name === reader.name)) {
    const expected = 'a layout with a new name'
    throw new WeirError('option_invalid', { option: 'reader', expected, got: reader.name })
  }
  readers.unshift(reader)
}

/** What others call the columns of a comparison; the first and the second model of a pair stand at one place. */
const COMPARISON = {
  model_a: [
    ...[
      'model_a',
      'model_1',
      'model1',
      'model_left',
      'left_model',
      'first_model',
      'llm_a',
      'llm_1',
    ],
    ...['model_name_a', 'model_name_1', 'model_a_name', 'model_1_name'],
  ],
  model_b: [
    ...['model_b', 'model_2', 'model2', 'model_right', 'right_model', 'second_model', 'llm_b'],
    ...['llm_2', 'model_name_b', 'model_name_2', 'model_b_name', 'model_2_name'],
  ],
  winner: [
    ...['winner', 'preference', 'preferred', 'preferred_model', 'winning_model', 'choice', 'vote'],
    ...['verdict', 'better', 'better_model', 'judgment', 'judgement'],
  ],
} as const

/**
 * Columns that are spelt with other capitals, blanks or hyphens than a layout spells them: `Model A` for `model_a`;
 * and those of a comparison by their other usual names.
 *
 * @returns the file's column by the name that the layouts know
 */
export function respelt(columns: ReadonlySet<string>): ReadonlyMap<string, string> {
  return new Map([...otherSpelling(columns), ...comparison(columns)])
}

/** The columns of a comparison under other names; none unless both models, the winner and the prompt are there. */
function comparison(columns: ReadonlySet<string>): ReadonlyMap<string, string> {
  const plain = new Map([...columns].map((column) => [plainName(column), column]))
  const first = (names: readonly string[]): string | undefined =>
    names.map((name) => plain.get(name)).find((name) => name !== undefined)
  const pair = COMPARISON.model_a.findIndex(
    (a, at) => plain.has(a) && plain.has(COMPARISON.model_b[at]!),
  )
  const winner = first(COMPARISON.winner)
  const prompt = first(FIELD_NAMES.prompt)
  const read = plain.has('conversation_a')
  if (pair < 0 || winner === undefined || prompt === undefined || read) return new Map()
  const found = Object.entries({
    prompt,
    model_a: plain.get(COMPARISON.model_a[pair]!)!,
    model_b: plain.get(COMPARISON.model_b[pair]!)!,
    winner,
  })
  return new Map(found.filter(([ours, theirs]) => ours !== theirs))
}

function otherSpelling(columns: ReadonlySet<string>): ReadonlyMap<string, string> {
  const known = new Set([...CANONICAL_COLUMNS, ...READERS.flatMap(({ required }) => required)])
  const found = new Map<string, string>()
  for (const column of columns) {
    const name = plainName(column)
    if (known.has(name) && !columns.has(name) && !found.has(name)) found.set(name, column)
  }
  return found
}

/**
 * The preset whose export a file is, by name or recognised from its first records before any mapping;
 * undefined if it is none's.
 */
export function findPreset(
  columns: ReadonlySet<string>,
  sample: readonly RawRecord[],
  format?: string,
): Reader | undefined {
  return READERS.find(
    (known) =>
      (known.mapping !== undefined || known.expand !== undefined) &&
      (format === undefined ? known.recognises(columns, sample) : known.name === format),
  )
}

/**
 * The layout of a file, given by name or recognised from its first records. Throws `labels_missing` if it holds prompts
 * alone, `column_missing` if it is almost a known layout, and `format_unknown` otherwise.
 */
export function findReader(
  path: string,
  columns: ReadonlySet<string>,
  sample: readonly RawRecord[],
  format?: string,
): Reader {
  const reader = format
    ? READERS.find((known) => known.name === format)
    : READERS.find((known) => known.mapping === undefined && known.recognises(columns, sample))
  if (format && !reader) {
    throw new WeirError('option_invalid', {
      option: '--format',
      expected: `one of ${READERS.map((known) => known.name).join(', ')}`,
      got: format,
    })
  }
  if (!reader && holdsOnlyPrompts(columns, sample)) throw new WeirError('labels_missing', { path })
  const missing = missingColumn(columns, reader)
  if (missing) {
    const error = { column: missing, path, got: [...columns] }
    throw withAdvice(new WeirError('column_missing', error), path, columns, sample)
  }
  if (!reader) {
    const expected = READERS.map((known) => known.name).join(', ')
    const error = { path, expected, got: [...columns].join(', ') || 'none' }
    throw withAdvice(new WeirError('format_unknown', error), path, columns, sample)
  }
  return reader
}

/** The error with what is nearest and what to try. */
function withAdvice(
  error: WeirError,
  path: string,
  columns: ReadonlySet<string>,
  sample: readonly RawRecord[],
): WeirError {
  const message = `${error.message}. ${adviseOn(path, columns, sample).text}`
  return new WeirError(error.code, {}, { message })
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
