import { CHARACTERS_PER_TOKEN } from '../../models/prices.ts'
import { isConversation, promptFields } from '../../models/reading/transcript.ts'
import {
  amountCell,
  type Cell,
  labelCell,
  nameCell,
  probabilityCell,
  promptCell,
  type ScoreRange,
  scoreCell,
  shown,
  systemCell,
  timeCell,
  toolsCell,
} from '../rows/cell.ts'
import {
  type LeftOut,
  type LogRow,
  type RawRecord,
  type Reader,
  type Reject,
  type RowOrigin,
  UNRATED,
  type Winner,
} from '../rows/reader.ts'

const WINNERS: ReadonlyMap<unknown, Winner> = new Map([
  ['a', 'a'],
  ['model_a', 'a'],
  ['b', 'b'],
  ['model_b', 'b'],
  ['tie', 'tie'],
  ['both_bad', 'both_bad'],
  ['tie (bothbad)', 'both_bad'],
] as const)

/** Other words for the winner, compared in lower case without blanks, `_` and brackets. */
const WINNER_WORDS: ReadonlyMap<string, Winner> = new Map([
  ...['a', 'modela', 'left', 'responsea', 'answera', 'assistanta', 'model1', 'first'].map(
    (word) => [word, 'a'] as const,
  ),
  ...['b', 'modelb', 'right', 'responseb', 'answerb', 'assistantb', 'model2', 'second'].map(
    (word) => [word, 'b'] as const,
  ),
  ...['tie', 'tied', 'draw', 'equal', 'same', 'bothgood', 'tiebothgood'].map(
    (word) => [word, 'tie'] as const,
  ),
  ...['bothbad', 'tiebothbad', 'neither', 'botharebad'].map((word) => [word, 'both_bad'] as const),
])

const squeezed = (text: string): string => text.toLowerCase().replace(/[\s_()[\]:.-]+/g, '')

/**
 * Who won: one of `WINNERS`, the name of one of the models (also in other capitals or with blanks), or another
 * word for it. Undefined if it is none of these, or a name and another word that mean different models.
 */
function winnerOf(value: unknown, modelA: string, modelB: string): Winner | undefined {
  const word = WINNERS.get(value)
  if (word !== undefined || typeof value !== 'string') return word
  const named = namedWinner(value, modelA, modelB)
  const meant = WINNER_WORDS.get(squeezed(value))
  if (named !== undefined && meant !== undefined && named !== meant) return undefined
  return named ?? meant
}

function namedWinner(value: string, modelA: string, modelB: string): Winner | undefined {
  for (const form of [
    (text: string) => text,
    (text: string) => text.trim().toLowerCase(),
    squeezed,
  ]) {
    const [won, a, b] = [form(value), form(modelA), form(modelB)]
    if (a !== b && won === a) return 'a'
    if (a !== b && won === b) return 'b'
  }
  return undefined
}

/** The columns of Weir's own layout. */
export const CANONICAL_COLUMNS: readonly string[] = [
  ...['prompt', 'system', 'tools', 'id', 'category', 'timestamp'],
  ...['model_a', 'model_b', 'winner', 'judge', 'weight'],
  ...['scores', 'costs', 'tokens', 'out_chars', 'propensities'],
]

/** Weir's own layout, for both row kinds: a row with `scores` is an outcome, any other is a preference. */
export const canonicalReader: Reader = {
  name: 'canonical',
  required: ['prompt'],
  recognises: (columns, sample) =>
    columns.has('prompt') &&
    (['model_a', 'model_b', 'winner'].every((column) => columns.has(column)) ||
      sample.some((record) => typeof record.scores === 'object' && record.scores !== null)),
  columns: (columns) => CANONICAL_COLUMNS.filter((column) => columns.has(column)),
  open:
    (_columns, _sample, { scoreRange }) =>
    (record, origin) =>
      record.scores === undefined || record.scores === null
        ? isUnrated(record)
          ? { kind: 'left_out', reason: UNRATED.row }
          : readPreference(record, origin)
        : readOutcome(record, origin, scoreRange),
}

/** An outcome row whose score is still to come: `"scores": null`, and no models that are compared. */
const isUnrated = (record: RawRecord): boolean =>
  record.scores === null && record.model_a === undefined && record.model_b === undefined

/** Whether models are named, and none has its score yet: `{"big-1": null}`. */
function isAwaited(scores: object): boolean {
  const values = Object.values(scores)
  return values.length > 0 && values.every((value) => value === null)
}

/** A preference row in Weir's column names; readers of other layouts rename columns and call this. */
export function readPreference(record: RawRecord, origin: RowOrigin): LogRow | Reject {
  const base = readBase(record, origin)
  if ('kind' in base) return base
  const modelA = nameCell(record.model_a)
  if ('reason' in modelA) return reject(origin, 'model_a', modelA.reason)
  const modelB = nameCell(record.model_b)
  if ('reason' in modelB) return reject(origin, 'model_b', modelB.reason)
  if (modelA.value === modelB.value) {
    return reject(origin, 'model_b', `${shown(modelB.value)} is compared with itself`)
  }
  const winner = winnerOf(record.winner, modelA.value, modelB.value)
  if (winner === undefined) {
    const expected = [...WINNERS.keys(), modelA.value, modelB.value].join(', ')
    return reject(origin, 'winner', `expected one of ${expected}; got ${shown(record.winner)}`)
  }
  const judge = labelCell(record.judge)
  if ('reason' in judge) return reject(origin, 'judge', judge.reason)
  const weight = amountCell(record.weight)
  if ('reason' in weight) return reject(origin, 'weight', weight.reason)
  const row: LogRow = {
    kind: 'preference',
    ...base,
    modelA: modelA.value,
    modelB: modelB.value,
    winner,
  }
  if (judge.value === undefined && weight.value === undefined) return row
  return {
    ...row,
    ...(judge.value !== undefined && { judge: judge.value }),
    ...(weight.value !== undefined && { weight: weight.value }),
  }
}

/**
 * An outcome row with `prompt` and `scores`, checked field by field; also used by readers of other layouts.
 */
export function readOutcome(
  record: RawRecord,
  origin: RowOrigin,
  range?: ScoreRange,
): LogRow | Reject | LeftOut {
  const base = readBase(record, origin)
  if ('kind' in base) return base
  const scores = readMap(record.scores, (value) => scoreCell(value, range))
  if ('reason' in scores) return reject(origin, `scores${scores.key}`, scores.reason)
  if (scores.map?.size === 0 && isAwaited(record.scores as object)) {
    const [model, ...others] = Object.keys(record.scores as object)
    const propensities = readMap(record.propensities, probabilityCell)
    // which of several models answered, an empty row does not say
    return model === undefined || others.length > 0 || 'reason' in propensities
      ? { kind: 'left_out', reason: UNRATED.row }
      : unratedAnswer(base, model, propensities.map)
  }
  if (scores.map === undefined || scores.map.size === 0) {
    return reject(origin, 'scores', 'expected the score of at least one model')
  }
  const costs = readMap(record.costs, amountCell)
  if ('reason' in costs) return reject(origin, `costs${costs.key}`, costs.reason)
  const lengths = record.tokens === undefined ? 'out_chars' : 'tokens'
  const tokens = readMap(record[lengths], amountCell)
  if ('reason' in tokens) return reject(origin, `${lengths}${tokens.key}`, tokens.reason)
  if (lengths === 'out_chars' && tokens.map) {
    for (const [model, length] of tokens.map) tokens.map.set(model, length / CHARACTERS_PER_TOKEN)
  }
  const propensities = readMap(record.propensities, probabilityCell)
  if ('reason' in propensities) {
    return reject(origin, `propensities${propensities.key}`, propensities.reason)
  }
  const weight = amountCell(record.weight)
  if ('reason' in weight) return reject(origin, 'weight', weight.reason)
  return {
    kind: 'outcome',
    ...base,
    scores: scores.map,
    ...(weight.value !== undefined && { weight: weight.value }),
    ...(costs.map && { costs: costs.map }),
    ...(tokens.map && { tokens: tokens.map }),
    ...(propensities.map && { propensities: propensities.map }),
  }
}

/** The row of an answer without a rating. */
export function unratedAnswer(
  { origin: _, id: __, ...base }: Base,
  model: string,
  propensities: ReadonlyMap<string, number> | undefined,
): LeftOut {
  return {
    kind: 'left_out',
    reason: UNRATED.row,
    answer: { ...base, model, ...(propensities && { propensities }) },
  }
}

type Base = Pick<
  LogRow,
  'origin' | 'prompt' | 'system' | 'tools' | 'context' | 'id' | 'category' | 'timestamp' | 'group'
>

/** The fields that both row kinds share. */
export function readBase(given: RawRecord, origin: RowOrigin): Base | Reject {
  // an exported dataset holds conversations as transcripts
  const { context, ...held } =
    typeof given.prompt === 'string' && isConversation(given.prompt)
      ? promptFields(given.prompt)
      : {}
  const record: RawRecord = { ...given, ...held }
  const prompt = promptCell(record.prompt)
  if ('reason' in prompt) return reject(origin, 'prompt', prompt.reason)
  const system = systemCell(record.system)
  if ('reason' in system) return reject(origin, 'system', system.reason)
  const tools = toolsCell(record.tools)
  if ('reason' in tools) return reject(origin, 'tools', tools.reason)
  const id = labelCell(record.id)
  if ('reason' in id) return reject(origin, 'id', id.reason)
  const category = labelCell(record.category)
  if ('reason' in category) return reject(origin, 'category', category.reason)
  const timestamp = timeCell(record.timestamp)
  if ('reason' in timestamp) return reject(origin, 'timestamp', timestamp.reason)
  const base = {
    origin,
    prompt: prompt.value,
    ...(system.value !== undefined && { system: system.value }),
    ...(tools.value !== undefined && { tools: tools.value }),
    ...(context && { context }),
  }
  if (id.value === undefined && category.value === undefined && timestamp.value === undefined) {
    return base
  }
  return {
    ...base,
    ...(id.value !== undefined && { id: id.value }),
    ...(category.value !== undefined && { category: category.value }),
    ...(timestamp.value !== undefined && { timestamp: timestamp.value }),
  }
}

export function reject(origin: RowOrigin, field: string, reason: string): Reject {
  return { kind: 'reject', origin, field, reason }
}

type NumberMap =
  | { readonly map: Map<string, number> | undefined }
  | { readonly key: string; readonly reason: string }

/** `{model: number}`; models without a value are left out. */
function readMap(value: unknown, cell: (value: unknown) => Cell<number | undefined>): NumberMap {
  if (value === undefined || value === null) return { map: undefined }
  if (typeof value !== 'object' || Array.isArray(value)) {
    return { key: '', reason: `expected {model: number}, got ${shown(value)}` }
  }
  const map = new Map<string, number>()
  for (const [model, raw] of Object.entries(value)) {
    const read = cell(raw)
    if ('reason' in read) return { key: `.${model}`, reason: read.reason }
    if (model === '') return { key: '', reason: 'expected a model name, got an empty one' }
    if (read.value !== undefined) map.set(model, read.value)
  }
  return { map }
}
