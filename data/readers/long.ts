import { CHARACTERS_PER_TOKEN } from '../../models/prices.ts'
import {
  amountCell,
  nameCell,
  probabilityCell,
  type ScoreRange,
  scoreCell,
  scoreNumber,
  toolsCell,
} from '../rows/cell.ts'
import { parsedText } from '../rows/expression.ts'
import {
  type LeftOut,
  type LogRow,
  type RawRecord,
  type Reader,
  type Reject,
  type RowOrigin,
  UNRATED,
} from '../rows/reader.ts'
import { readBase, readOutcome, readPreference, reject, unratedAnswer } from './canonical.ts'

/**
 * Our fields of a row that holds one model's answer, and the names that logs give them, the most telling
 * first. Names are compared in lower case, with `_` for blanks, dots and hyphens.
 */
export const FIELD_NAMES = {
  prompt: [
    ...['prompt', 'user_prompt', 'question', 'query', 'user_query', 'instruction', 'messages'],
    ...['input', 'inputs', 'input_text', 'user_input', 'user_message', 'request', 'problem'],
  ],
  system: ['system_prompt', 'system_message', 'system_instruction'],
  tools: ['tools', 'tool_definitions', 'available_tools', 'functions'],
  model: [
    ...['model', 'model_name', 'model_id', 'provided_model_name', 'llm', 'llm_model', 'generator'],
    ...['deployment', 'engine', 'provider'],
  ],
  score: [
    ...[
      'score',
      'performance',
      'accuracy',
      'reward',
      'quality',
      'quality_score',
      'rating',
      'grade',
    ],
    ...['correct', 'is_correct', 'correctness', 'passed', 'pass', 'success', 'exact_match', 'acc'],
    ...['label', 'outcome', 'feedback', 'thumbs_up', 'thumbs', 'thumb', 'user_feedback'],
    ...['user_rating', 'user_score', 'helpful', 'upvoted', 'liked', 'satisfied', 'resolved'],
    ...['reaction', 'accepted'],
  ],
  cost: [
    ...['cost', 'cost_usd', 'usd', 'spend', 'total_cost', 'response_cost', 'price', 'cost_in_usd'],
    ...['total_cost_usd'],
  ],
  tokens: [
    ...[
      'output_tokens',
      'completion_tokens',
      'tokens_out',
      'generated_tokens',
      'num_output_tokens',
    ],
    ...['response_tokens', 'tokens'],
  ],
  weight: ['weight', 'score_weight', 'outcome_weight'],
  propensity: [
    ...['propensity', 'action_probability', 'action_prob', 'logging_probability'],
    ...['assignment_probability'],
  ],
  /** false for a model that was not asked, or gave no answer */
  answered: ['answered'],
  out_chars: ['out_chars', 'output_chars', 'response_length'],
  id: [
    ...['id', 'request_id', 'trace_id', 'call_id', 'generation_id', 'response_id', 'uuid'],
    ...['event_id', 'row_id', 'log_id', 'span_id'],
  ],
  category: [
    ...['category', 'task', 'task_name', 'dataset', 'dataset_name', 'benchmark', 'eval_name'],
    ...['subset', 'subject', 'domain', 'topic'],
  ],
  timestamp: [
    ...['timestamp', 'time', 'created_at', 'created', 'start_time', 'starttime', 'tstamp', 'ts'],
    ...['datetime', 'date', 'request_time', 'logged_at'],
  ],
  user: ['user', 'user_id', 'userid', 'end_user', 'username', 'customer_id'],
  session: ['session', 'session_id', 'sessionid', 'conversation_id', 'thread_id', 'chat_id'],
} as const satisfies Readonly<Record<string, readonly string[]>>

export type Field = keyof typeof FIELD_NAMES

/** `Model Name ` is `model_name`. */
export const plainName = (column: string): string =>
  column
    .trim()
    .toLowerCase()
    .replace(/[\s.-]+/g, '_')

/** The file's column for each of our fields that it has. */
export function fieldColumns(
  columns: ReadonlySet<string>,
  sample: readonly RawRecord[],
): ReadonlyMap<Field, string> {
  const known = new Map<string, string>()
  for (const column of columns) {
    const name = plainName(column)
    if (!known.has(name) || column === name) known.set(name, column)
  }
  const found = new Map<Field, string>()
  for (const [field, names] of Object.entries(FIELD_NAMES) as [Field, readonly string[]][]) {
    const column = names
      .map((name) => known.get(name))
      .find((name) => name !== undefined && fits(field, name, sample))
    if (column !== undefined) found.set(field, column)
  }
  return found
}

/** Whether most of the column's first values can be the field's: `label` may hold scores or anything else. */
function fits(field: Field, column: string, sample: readonly RawRecord[]): boolean {
  const filled = sample
    .map((record) => record[column])
    .filter((cell) => cell !== '' && cell !== null && cell !== undefined)
  const test = TESTS[field]
  if (!test || filled.length === 0) return true
  return filled.filter(test).length * 2 > filled.length
}

const TESTS: Partial<Record<Field, (cell: unknown) => boolean>> = {
  system: (cell) => typeof cell === 'string',
  tools: (cell) => 'value' in toolsCell(cell),
  model: (cell) => typeof cell === 'string',
  score: (cell) => scoreWord(cell) !== undefined,
  cost: (cell) => 'value' in amountCell(cell),
  tokens: (cell) => 'value' in amountCell(cell),
  weight: (cell) => 'value' in amountCell(cell),
  propensity: (cell) => 'value' in probabilityCell(cell),
  id: (cell) => typeof cell !== 'object',
  category: (cell) => typeof cell !== 'object',
}

const WORDS: ReadonlyMap<string, number> = new Map([
  ...[
    ...['pass', 'passed', 'correct', 'right', 'yes', 'success', 'good', 'up', 'thumbs_up'],
    ...['thumbsup', 'like', 'liked', 'positive', 'helpful', 'resolved', 'accepted', '👍'],
  ].map((word) => [word, 1] as const),
  ...[
    ...['fail', 'failed', 'incorrect', 'wrong', 'no', 'failure', 'bad', 'down', 'thumbs_down'],
    ...['thumbsdown', 'dislike', 'disliked', 'negative', 'unhelpful', 'not_helpful'],
    ...['unresolved', 'not_resolved', 'rejected', '👎'],
  ].map((word) => [word, 0] as const),
])

/** A score as a number or in words (pass, fail, correct); undefined for anything else. */
export const scoreWord = (cell: unknown): number | undefined =>
  scoreNumber(cell) ?? (typeof cell === 'string' ? WORDS.get(plainName(cell)) : undefined)

/** Any layout with one row per prompt and model, recognised by what its columns are usually called. */
export const longReader: Reader = {
  name: 'long',
  required: [],
  recognises(columns, sample) {
    const found = fieldColumns(columns, sample)
    return ['prompt', 'model', 'score'].every((field) => found.has(field as Field))
  },
  columns: (columns) => [...columns].filter((column) => KNOWN_NAMES.has(plainName(column))),
  open(columns, sample, { scoreRange }) {
    const named = fieldColumns(columns, sample)
    const found = [...named].filter(
      ([field, column]) => field !== 'id' || identifiesRows(column, named.get('model'), sample),
    )
    return (record, origin) => {
      const fields: Record<string, unknown> = {}
      for (const [field, column] of found) fields[field] = record[column]
      const row = readAnswer(fields, origin, scoreRange)
      if (row.kind !== 'reject') return row
      const column = found.find(([field]) => field === row.field)?.[1]
      return column === undefined ? row : { ...row, field: column }
    }
  },
}

const KNOWN_NAMES: ReadonlySet<string> = new Set(Object.values(FIELD_NAMES).flat())

/**
 * Whether an id is of one model's answer rather than of the prompt, which several of its answers share. Rows
 * that are the same in everything are one event delivered twice.
 */
function identifiesRows(
  column: string,
  model: string | undefined,
  sample: readonly RawRecord[],
): boolean {
  const seen = new Map<string, string>()
  for (const record of sample) {
    const key = `${record[column]}\n${model === undefined ? '' : record[model]}`
    const whole = JSON.stringify(record)
    const before = seen.get(key)
    if (before !== undefined && before !== whole) return false
    seen.set(key, whole)
  }
  return true
}

/**
 * A row in our field names, of any kind: with `scores` an outcome of several models, with `model_a` a
 * preference, else one model's answer (`readAnswer`).
 */
export function readFields(
  record: RawRecord,
  origin: RowOrigin,
  range?: ScoreRange,
): LogRow | Reject | LeftOut {
  const fields = { ...record, prompt: promptOf(record.prompt) }
  if (record.scores !== undefined && record.scores !== null) {
    return readOutcome(fields, origin, range)
  }
  if (record.model_a !== undefined || record.model_b !== undefined) {
    return readPreference(fields, origin)
  }
  return readAnswer(fields, origin, range)
}

/** One model's answer to a prompt, with its score in [0, 1] or in `range`; left out if it has none. */
export function readAnswer(
  record: RawRecord,
  origin: RowOrigin,
  range?: ScoreRange,
): LogRow | Reject | LeftOut {
  const score = scoreCell(scoreWord(record.score) ?? record.score, range)
  if ('reason' in score) return reject(origin, 'score', score.reason)
  const base = readBase({ ...record, prompt: promptOf(record.prompt) }, origin)
  const model = nameCell(record.model)
  const propensity = probabilityCell(record.propensity)
  if (score.value === undefined) {
    const silent = [0, false, '0', 'false'].some((no) => record.answered === no)
    return silent || 'kind' in base || 'reason' in model || 'reason' in propensity
      ? { kind: 'left_out', reason: UNRATED.row }
      : unratedAnswer(
          base,
          model.value,
          propensity.value === undefined ? undefined : new Map([[model.value, propensity.value]]),
        )
  }
  if ('kind' in base) return base
  if ('reason' in model) return reject(origin, 'model', model.reason)
  const cost = amountCell(record.cost)
  if ('reason' in cost) return reject(origin, 'cost', cost.reason)
  const tokens = amountCell(record.tokens)
  if ('reason' in tokens) return reject(origin, 'tokens', tokens.reason)
  const characters = amountCell(record.out_chars)
  if ('reason' in characters) return reject(origin, 'out_chars', characters.reason)
  const length =
    tokens.value ??
    (characters.value === undefined ? undefined : characters.value / CHARACTERS_PER_TOKEN)
  const weight = amountCell(record.weight)
  if ('reason' in weight) return reject(origin, 'weight', weight.reason)
  if ('reason' in propensity) return reject(origin, 'propensity', propensity.reason)
  const { value: name } = model
  return {
    kind: 'outcome',
    ...base,
    // several models' answers to one prompt may share the prompt's id
    ...(base.id !== undefined && { id: `${base.id}\n${name}` }),
    scores: new Map([[name, score.value]]),
    ...(weight.value !== undefined && { weight: weight.value }),
    ...(cost.value !== undefined && { costs: new Map([[name, cost.value]]) }),
    ...(length !== undefined && { tokens: new Map([[name, length]]) }),
    ...(propensity.value !== undefined && { propensities: new Map([[name, propensity.value]]) }),
  }
}

/**
 * What a model was asked, out of what logs keep: messages (also as JSON text) without the answer at their end,
 * or an object that holds messages or a text.
 */
export function promptOf(value: unknown): unknown {
  if (typeof value === 'string') {
    const parsed = parsedText(value)
    return isMessages(parsed) ? withoutAnswer(parsed) : value
  }
  if (Array.isArray(value)) {
    if (value.length === 1 && !isMessages(value)) return promptOf(value[0])
    return isMessages(value) ? withoutAnswer(value) : value
  }
  if (typeof value !== 'object' || value === null) return value
  const held = value as RawRecord
  for (const name of ['messages', ...FIELD_NAMES.prompt, 'content', 'text']) {
    if (Object.hasOwn(held, name) && held[name] !== null) return promptOf(held[name])
  }
  return value
}

type Message = { readonly role?: unknown; readonly from?: unknown }

const isMessages = (value: unknown): value is readonly Message[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every(
    (item) => typeof item === 'object' && item !== null && ('role' in item || 'from' in item),
  )

function withoutAnswer(messages: readonly Message[]): readonly Message[] {
  let end = messages.length
  while (
    end > 1 &&
    ['assistant', 'model', 'gpt', 'ai'].includes(String(roleOf(messages[end - 1]!)))
  )
    end--
  return messages.slice(0, end)
}

const roleOf = ({ role, from }: Message): unknown => role ?? from
