import { type PromptInput, promptText } from '../../models/decision/messages.ts'

/** The value of one cell, or why it is refused. */
export type Cell<T> = { readonly value: T } | { readonly reason: string }

/** Longer prompts are refused: no encoder reads them, and a single one fills a page of memory. */
export const PROMPT_CHARACTERS_MAX = 1_000_000

/** A prompt's text, or its chat messages. */
export function promptCell(value: unknown): Cell<PromptInput> {
  if (typeof value === 'string') {
    if (value.trim() === '') return { reason: 'expected text, got an empty prompt' }
    return readable(value, value)
  }
  if (!Array.isArray(value)) {
    return { reason: `expected text or a list of messages, got ${shown(value)}` }
  }
  if (value.length === 0) return { reason: 'expected messages, got an empty list' }
  for (const message of value) {
    if (!isMessage(message)) return { reason: `expected {role, content}, got ${shown(message)}` }
  }
  const text = promptText(value as PromptInput)
  if (text.trim() === '') return { reason: 'expected text, got messages without any' }
  return readable(value as PromptInput, text)
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

function isMessage(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { role, content } = value as { role?: unknown; content?: unknown }
  if (typeof role !== 'string' || role === '') return false
  if (content === null || typeof content === 'string') return true
  return Array.isArray(content) && content.every(isPart)
}

function isPart(part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return false
  const { type, text } = part as { type?: unknown; text?: unknown }
  return typeof type === 'string' && (text === undefined || typeof text === 'string')
}

export type ScoreRange = readonly [number, number]

const UNIT_RANGE: ScoreRange = [0, 1]

/** A score in the range, rescaled to [0, 1]; `undefined` if not observed (absent, null, an empty cell). */
export function scoreCell(value: unknown, range = UNIT_RANGE): Cell<number | undefined> {
  if (value === undefined || value === null || value === '') return { value: undefined }
  const [low, high] = range
  const number = scoreNumber(value)
  if (number === undefined || !(number >= low && number <= high)) {
    return { reason: `expected a score in [${low}, ${high}], got ${shown(value)}` }
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
  if (value === undefined || value === null || value === '') return { value: undefined }
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
  if (typeof value === 'string' && value.trim() !== '') return { value }
  return { reason: `expected a name, got ${shown(value)}` }
}

/** An id or category as text or a number; `undefined` if there is none. */
export function labelCell(value: unknown): Cell<string | undefined> {
  if (value === undefined || value === null || value === '') return { value: undefined }
  if (typeof value === 'string') return { value }
  if (typeof value === 'number' || typeof value === 'bigint') return { value: String(value) }
  return { reason: `expected text, got ${shown(value)}` }
}

/** Seconds since 1970, from a number (seconds or milliseconds) or a date in ISO 8601. */
export function timeCell(value: unknown): Cell<number | undefined> {
  if (value === undefined || value === null || value === '') return { value: undefined }
  const number =
    typeof value === 'number' || typeof value === 'bigint'
      ? Number(value)
      : typeof value === 'string'
        ? numberText(value)
        : undefined
  if (number !== undefined && Number.isFinite(number)) {
    // 1e11 seconds is the year 5138, 1e11 milliseconds is 1973.
    return { value: number > 1e11 ? number / 1000 : number }
  }
  const date =
    value instanceof Date
      ? value.getTime()
      : typeof value === 'string'
        ? Date.parse(value)
        : Number.NaN
  if (Number.isNaN(date)) return { reason: `expected a time, got ${shown(value)}` }
  return { value: date / 1000 }
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
  const number = Number(trimmed)
  return Number.isNaN(number) && trimmed.toLowerCase() !== 'nan' ? undefined : number
}
