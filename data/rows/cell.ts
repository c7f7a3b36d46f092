import type { ChatMessage, PromptInput } from '../../models/reading/messages.ts'
import { type ToolDefinition, transcript } from '../../models/reading/transcript.ts'

/** The value of one cell, or why it is refused. */
export type Cell<T> = { readonly value: T } | { readonly reason: string }

/** Longer prompts are refused: no encoder reads them, and a single one fills a page of memory. */
export const PROMPT_CHARACTERS_MAX = 1_000_000

/** A prompt's text, or its chat messages; parts and contents that hold no text count as empty. */
export function promptCell(value: unknown): Cell<PromptInput> {
  if (typeof value === 'string') {
    if (value.trim() === '') return { reason: 'expected text, got an empty prompt' }
    return readable(value, value)
  }
  if (!Array.isArray(value)) {
    return { reason: `expected text or a list of messages, got ${shown(value)}` }
  }
  if (value.length === 0) return { reason: 'expected messages, got an empty list' }
  const messages: ChatMessage[] = []
  for (const item of value) {
    const message = messageCell(item)
    if (!message) return { reason: `expected {role, content}, got ${shownMessage(item)}` }
    messages.push(message)
  }
  const text = transcript(messages)
  if (text.trim() === '') return { reason: 'expected text, got messages without any' }
  return readable(messages, text)
}

function readable(value: PromptInput, text: string): Cell<PromptInput> {
  if (text.length > PROMPT_CHARACTERS_MAX) {
    return { reason: `expected at most ${PROMPT_CHARACTERS_MAX} characters, got ${text.length}` }
  }
  // Such a text has no UTF-8 form, and so no hash.
  if (!wellFormed(text)) return { reason: 'holds half of a surrogate pair' }
  return { value }
}

/** `String.prototype.isWellFormed`, which Node 20 has but the ES2023 library types lack. */
const wellFormed = (text: string): boolean =>
  (text as string & { isWellFormed(): boolean }).isWellFormed()

/** A separate system prompt; `undefined` if there is none. */
export function systemCell(value: unknown): Cell<string | undefined> {
  if (value === undefined || value === null || value === '') return { value: undefined }
  if (typeof value !== 'string') return { reason: `expected text, got ${shown(value)}` }
  return wellFormed(value) ? { value } : { reason: 'holds half of a surrogate pair' }
}

/**
 * The tools that were offered, as a list of definitions or of names, or as such a list in JSON text;
 * `undefined` if there are none.
 */
export function toolsCell(value: unknown): Cell<readonly ToolDefinition[] | undefined> {
  if (value === undefined || value === null || value === '') return { value: undefined }
  const list = typeof value === 'string' ? parsedList(value) : value
  if (!Array.isArray(list)) {
    return { reason: `expected a list of tool definitions, got ${shown(value)}` }
  }
  const tools: ToolDefinition[] = []
  for (const tool of list) {
    if (typeof tool === 'string' && tool !== '') tools.push({ name: tool })
    else if (typeof tool === 'object' && tool !== null && !Array.isArray(tool)) tools.push(tool)
    else return { reason: `expected tool definitions or names, got ${shown(tool)} in the list` }
  }
  return { value: tools.length > 0 ? tools : undefined }
}

function parsedList(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Names that ShareGPT and others give the roles. */
const ROLES: Readonly<Record<string, string>> = { human: 'user', gpt: 'assistant', ai: 'assistant' }

/**
 * A chat message in any of the forms that clients log: `role` or `from`; content as text, null, absent (a turn
 * that only called tools), parts, or an object that holds one of these. Undefined if it is not a message.
 */
function messageCell(value: unknown): ChatMessage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { role: given, from, content, value: said, parts } = value as Record<string, unknown>
  const role = given ?? (typeof from === 'string' ? (ROLES[from] ?? from) : undefined)
  if (typeof role !== 'string' || role === '') return undefined
  const read = contentCell(content ?? said ?? parts)
  return read === undefined ? undefined : { role, content: read }
}

/** Undefined if it is no content. */
function contentCell(content: unknown): ChatMessage['content'] | undefined {
  if (content === undefined || content === null) return null
  if (typeof content === 'string') return content
  if (Array.isArray(content)) {
    const parts = content.map(partCell)
    return parts.every((part) => part !== undefined) ? parts : undefined
  }
  if (typeof content !== 'object') return undefined
  const { parts, text } = content as { parts?: unknown; text?: unknown }
  if (Array.isArray(parts)) return contentCell(parts)
  return typeof text === 'string' ? text : undefined
}

type Part = Exclude<ChatMessage['content'], string | null | undefined>[number]

/** A part of a message; only text counts, an image or a file is a part without it. */
function partCell(part: unknown): Part | undefined {
  if (part === null) return { type: 'none' }
  if (typeof part === 'string') return { type: 'text', text: part }
  if (typeof part !== 'object' || Array.isArray(part)) return undefined
  const { type, text } = part as { type?: unknown; text?: unknown }
  // OpenAI's threads keep text as {value, annotations}
  const held =
    typeof text === 'object' && text !== null ? (text as { value?: unknown }).value : text
  if (held !== undefined && held !== null && typeof held !== 'string') return undefined
  const kind = typeof type === 'string' ? type : 'text'
  return typeof held === 'string' ? { type: kind, text: held } : { type: kind }
}

/** An object by its fields, so that the message says what came. */
const shownMessage = (value: unknown): string =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? `an object with ${Object.keys(value).slice(0, 8).join(', ') || 'no fields'}`
    : shown(value)

/** Cells that say there is no value, as tables and pandas write them. */
const MISSING: ReadonlySet<string> = new Set(
  [
    '',
    'NaN',
    'nan',
    'NAN',
    '-nan',
    'NaT',
    'null',
    'NULL',
    'Null',
    'None',
    'N/A',
    'n/a',
    'NA',
  ].concat(['<NA>', '#N/A', '#N/A N/A', '#NA', '\\N', '-']),
)

/** Whether a cell holds no value: absent, null, NaN, or a word for it such as N/A. */
export function isMissing(value: unknown): boolean {
  if (value === undefined || value === null) return true
  if (typeof value === 'number') return Number.isNaN(value)
  return typeof value === 'string' && value.length < 10 && MISSING.has(value.trim())
}

export type ScoreRange = readonly [number, number]

const UNIT_RANGE: ScoreRange = [0, 1]

/** A score in the range, rescaled to [0, 1]; `undefined` if not observed (`isMissing`). */
export function scoreCell(value: unknown, range = UNIT_RANGE): Cell<number | undefined> {
  if (isMissing(value)) return { value: undefined }
  const [low, high] = range
  const number = scoreNumber(value)
  if (number === undefined || !(number >= low && number <= high)) {
    const hint = number === undefined ? '' : ' (another scale: --score-range low-high)'
    return { reason: `expected a score in [${low}, ${high}], got ${shown(value)}${hint}` }
  }
  return { value: range === UNIT_RANGE ? number : (number - low) / (high - low) }
}

/** Accepts True and False as pandas writes them, JSON booleans and numbers; undefined for anything else. */
export function scoreNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  if (typeof value === 'boolean') return value ? 1 : 0
  if (typeof value !== 'string') return undefined
  if (value === 'True' || value === 'true' || value === 'TRUE') return 1
  if (value === 'False' || value === 'false' || value === 'FALSE') return 0
  return numberText(value)
}

/** A cost, weight or count, which must be finite and at least 0. */
export function amountCell(value: unknown): Cell<number | undefined> {
  if (isMissing(value)) return { value: undefined }
  const number =
    typeof value === 'string'
      ? numberText(value)
      : typeof value === 'bigint'
        ? Number(value)
        : value
  if (typeof number !== 'number' || !Number.isFinite(number) || number < 0) {
    return { reason: `expected a number of at least 0, got ${shown(value)}` }
  }
  return { value: number }
}

/** A probability from 0 to 1. */
export function probabilityCell(value: unknown): Cell<number | undefined> {
  const cell = amountCell(value)
  if ('value' in cell && (cell.value === undefined || cell.value <= 1)) return cell
  return { reason: `expected a probability from 0 to 1, got ${shown(value)}` }
}

/** A name such as a model's: non-empty text. */
export function nameCell(value: unknown): Cell<string> {
  if (typeof value === 'string' && !isMissing(value)) return { value }
  return { reason: `expected a name, got ${shown(value)}` }
}

/** An id or category as text or a number; `undefined` if there is none. */
export function labelCell(value: unknown): Cell<string | undefined> {
  if (isMissing(value)) return { value: undefined }
  if (typeof value === 'string') return { value }
  if (typeof value === 'number' || typeof value === 'bigint') return { value: String(value) }
  return { reason: `expected text, got ${shown(value)}` }
}

/**
 * Seconds since 1970: from a number of seconds, milliseconds, microseconds or nanoseconds since then, told apart
 * by their size; a date in ISO 8601 (UTC where it names no zone) or with the month's name; or YYYYMMDD.
 */
export function timeCell(value: unknown): Cell<number | undefined> {
  if (isMissing(value)) return { value: undefined }
  if (value instanceof Date && !Number.isNaN(value.getTime()))
    return { value: value.getTime() / 1000 }
  const number =
    typeof value === 'number' || typeof value === 'bigint'
      ? Number(value)
      : typeof value === 'string'
        ? numberText(value)
        : undefined
  if (number !== undefined && Number.isFinite(number)) return { value: secondsOf(number) }
  const date = typeof value === 'string' ? dateText(value.trim()) : Number.NaN
  if (Number.isNaN(date)) return { reason: `expected a time, got ${shown(value)}` }
  return { value: date }
}

/** 1e11 is the year 5138 in seconds and 1973 in milliseconds; and so on up, a thousand at a time. */
function secondsOf(number: number): number {
  const size = Math.abs(number)
  if (size >= 1e17) return number / 1e9
  if (size >= 1e14) return number / 1e6
  if (size >= 1e11) return number / 1e3
  const day = /^((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$/.exec(String(number))
  return day ? Date.UTC(Number(day[1]), Number(day[2]) - 1, Number(day[3])) / 1000 : number
}

const ISO =
  /^(\d{4})[-/](\d{2})[-/](\d{2})(?:[T ]+(\d{2}:\d{2})(:\d{2})?(?:[.,](\d+))?)?\s*(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?$/i

/** Seconds since 1970; NaN if the text is no date, or one whose day and month cannot be told apart. */
function dateText(text: string): number {
  const iso = ISO.exec(text)
  if (iso) {
    const [, year, month, day, minutes = '00:00', seconds = ':00', fraction = '0', zone = 'Z'] = iso
    const offset = /^[+-]/.test(zone) ? `${zone.replace(':', '')}00`.slice(0, 5) : '+0000'
    const utc = `${offset.slice(0, 3)}:${offset.slice(3)}`
    const whole = Date.parse(`${year}-${month}-${day}T${minutes}${seconds}${utc}`)
    return whole / 1000 + Number(`0.${fraction}`)
  }
  if (!/[a-z]{3}/i.test(text)) return Number.NaN
  const zoned = /(Z|UTC|GMT|[+-]\d{2}:?\d{2}|[ECMP][SD]T)\)?$/i.test(text)
  return Date.parse(zoned ? text : `${text} UTC`) / 1000
}

/** A value as shown in messages; long cells are shortened. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string')
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value)
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'a list' : 'an object'
  return String(value)
}

function numberText(text: string): number | undefined {
  const trimmed = text.trim()
  if (trimmed === '') return undefined
  // a decimal comma, where it cannot be one of thousands: 0,75
  if (/^-?0,\d+$|^1,0+$/.test(trimmed)) return Number(trimmed.replace(',', '.'))
  const number = Number(trimmed)
  return Number.isNaN(number) && trimmed.toLowerCase() !== 'nan' ? undefined : number
}
