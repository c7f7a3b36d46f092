import { WeirError } from '../../core/errors.ts'
import { isMissing, scoreCell, scoreNumber } from '../rows/cell.ts'
import type { RawRecord, Reader, ReaderSettings } from '../rows/reader.ts'
import { readBase, reject } from './canonical.ts'
import { FIELD_NAMES, plainName } from './long.ts'

/** Names of columns that describe a row or one answer, and are never a model. */
const NO_MODEL: ReadonlySet<string> = new Set([
  ...Object.values(FIELD_NAMES).flat(),
  ...['', 'source', 'index', 'turn', 'turns', 'sample_id', 'question_id', 'prompt_id', 'doc_id'],
  ...['__index_level_0__', 'level_0', 'split', 'fold', 'epoch', 'run', 'seed', 'rank', 'weight'],
  ...[
    'latency',
    'duration',
    'elapsed',
    'runtime',
    'response_time',
    'temperature',
    'top_p',
    'status',
  ],
  ...[
    'language',
    'lang',
    'difficulty',
    'level',
    'hardness',
    'year',
    'month',
    'day',
    'hour',
    'count',
  ],
  ...['length', 'words', 'chars', 'characters', 'size', 'bytes', 'version', 'winner', 'votes'],
  ...[
    'flagged',
    'toxic',
    'toxicity',
    'safe',
    'valid',
    'streamed',
    'stream',
    'cached',
    'error',
    'errors',
  ],
])
const NO_MODEL_PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/^unnamed:?_/, 'an index'],
  [/^(is|has|was|are|contains|needs|uses|should|can|requires)_/, 'a flag'],
  [/_(flag|flagged)$/, 'a flag'],
  [/^(num|n|nb|count|len|length|total|avg|mean|std|sum|number_of)_/, 'a count'],
  [
    /_(count|counts|len|length|chars|words|tokens|cost|usd|price|spend|time|ms|sec|seconds|latency)$/,
    'an amount',
  ],
  [/_(id|idx|index|rank|date|year|turns|votes|weight|ratio|bytes|at)$/, 'about the row'],
]

/** Fewer filled cells may all be the same by chance. */
const CONSTANT_FROM = 50
/** Fewer filled cells may all be written in words by chance. */
const TRUTHS_FROM = 10

/** A cell that a program wrote as a truth value. */
const isTruth = (cell: unknown): boolean =>
  typeof cell === 'boolean' || (typeof cell === 'string' && /^(true|false)$/i.test(cell.trim()))
/** reviewed, human_approved */
const DONE = /^([a-z]+_)*[a-z]{2,}ed$/i

interface WideColumns {
  readonly models: readonly string[]
  /** columns with numbers that were not taken for models, and why */
  readonly others: ReadonlyMap<string, string>
  /** columns that could be either */
  readonly unclear: ReadonlyMap<string, string>
}

/**
 * RouteLLM's outcome tables and others with a prompt and one column per model, with True, False or a number in
 * [0, 1]. Columns whose names or values say that they are something else are no models; `--models-from` names
 * the models where that is not enough.
 */
export const wideReader: Reader = {
  name: 'routellm',
  required: ['prompt'],
  recognises: (columns, sample) =>
    columns.has('prompt') && wideColumns(columns, sample, {}).models.length > 0,
  columns: (columns) => [...columns].filter((column) => column !== 'source'),
  notes(columns, sample, settings, path) {
    const { models, others, unclear } = wideColumns(columns, sample, settings)
    if (unclear.size > 0) {
      const doubts = [...unclear].map(([column, why]) => `${column} (${why})`).join(', ')
      throw new WeirError('models_unclear', {
        path,
        doubts,
        example: [...models, ...unclear.keys()].join(','),
      })
    }
    if (others.size === 0 || settings.modelsFrom) return []
    const left = [...others].map(([column, why]) => `${column} (${why})`).join(', ')
    return [
      `${path}: the models are ${models.join(', ')}; not taken for models: ${left}. --models-from names them.`,
    ]
  },
  open(columns, sample, settings) {
    const { scoreRange } = settings
    const { models } = wideColumns(columns, sample, settings)
    return (record, origin) => {
      const base = readBase(record, origin)
      if ('kind' in base) return base
      const scores = new Map<string, number>()
      for (const model of models) {
        const score = scoreCell(record[model], scoreRange)
        if ('reason' in score) return reject(origin, model, score.reason)
        if (score.value !== undefined) scores.set(model, score.value)
      }
      if (scores.size === 0) return reject(origin, models[0] ?? 'scores', 'no model has a score')
      return { kind: 'outcome', ...base, scores }
    }
  },
}

/**
 * Sorts the columns whose filled cells mostly read as numbers, so that one bad cell in the sample does not hide
 * a model.
 */
export function wideColumns(
  columns: ReadonlySet<string>,
  sample: readonly RawRecord[],
  { modelsFrom, context = [], scoreRange: [low, high] = [0, 1] }: ReaderSettings,
): WideColumns {
  if (modelsFrom) return { models: modelsFrom, others: new Map(), unclear: new Map() }
  const models: string[] = []
  const others = new Map<string, string>()
  const unclear = new Map<string, string>()
  /** columns taken for models whose cells are all true or false, in words */
  const truths = new Set<string>()
  /** columns named after something done to the row, whose numbers are all 0 or 1 */
  const done = new Set<string>()
  for (const column of columns) {
    if (context.includes(column)) continue
    const filled = sample.map((record) => record[column]).filter((cell) => !isMissing(cell))
    const numbers = filled.map(scoreNumber).filter((number) => number !== undefined)
    if (numbers.length * 2 <= filled.length) continue
    const named = nameSays(column)
    const inRange = numbers.filter((number) => number >= low && number <= high)
    if (named !== undefined) {
      if (filled.length > 0) others.set(column, named)
    } else if (filled.length > 0 && inRange.length * 2 <= numbers.length) {
      others.set(column, `numbers outside ${low} to ${high}`)
    } else if (numbers.length >= CONSTANT_FROM && new Set(numbers).size === 1) {
      unclear.set(column, `always ${numbers[0]}`)
    } else {
      models.push(column)
      if (DONE.test(column) && numbers.every((n) => n === 0 || n === 1)) done.add(column)
      else if (filled.length >= TRUTHS_FROM && filled.every(isTruth)) truths.add(column)
    }
  }
  // true and false beside columns of numbers may say something of the row; alone they are how answers were judged
  const mixed = truths.size < models.length - done.size
  for (const column of models) {
    if ((mixed && truths.has(column)) || done.has(column)) unclear.set(column, 'a yes or no')
  }
  return { models: models.filter((column) => !unclear.has(column)), others, unclear }
}

/** What a column is by its name, if it is no model; undefined if it may be one. */
function nameSays(column: string): string | undefined {
  const name = plainName(column)
  if (NO_MODEL.has(name)) return name === '' ? 'an index' : 'about the row'
  return NO_MODEL_PATTERNS.find(([pattern]) => pattern.test(name))?.[1]
}
