import type { Pattern } from '../../core/pattern.ts'
import { type Said, saysNothing, type ToolCall } from './chat-answer.ts'

/**
 * The key by which two answers count as the same: their words and numbers, or those that the pattern
 * captures, and the tools they call. Undefined if an answer has no vote: it is empty, or the pattern does not
 * match.
 */
export function answerKey(said: Said, pattern: Pattern | undefined): string | undefined {
  if (saysNothing(said)) return undefined
  if (said.calls.length > 0) return JSON.stringify(said.calls.map(callKey))
  const text = pattern ? pattern.capture(said.text) : said.text
  if (text === undefined) return undefined
  const normal = normalText(text)
  return normal === '' ? undefined : normal
}

/** Numbers with their sign, and runs of letters and digits. */
const WORDS = /(?<![\p{L}\p{N}])[+\-−]?\d+(?:,\d{3})*(?:\.\d+)?|[\p{L}\p{M}\p{N}]+/gu
/** Longer ones would lose digits as a JavaScript number. */
const LONGEST_NUMBER = 15

/**
 * Lower case, without punctuation; 1,000 and 1000.0 are one number. Text without letters or digits is
 * unchanged.
 */
export function normalText(text: string): string {
  const plain = text.normalize('NFKC').toLowerCase()
  const words = plain.match(WORDS)
  return words ? words.map(normalWord).join(' ') : plain.trim()
}

function normalWord(word: string): string {
  const digits = word.replace('−', '-').replaceAll(',', '')
  const isNumber = /^[+-]?\d+(\.\d+)?$/.test(digits) && digits.length <= LONGEST_NUMBER
  return isNumber ? String(Number(digits)) : digits
}

/** Arguments that only differ in the order of fields or in white space are the same. */
function callKey({ name, arguments: given }: ToolCall): [string, string] {
  try {
    return [name, JSON.stringify(sorted(JSON.parse(given)))]
  } catch {
    return [name, given]
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, its]) => [key, sorted(its)]),
  )
}

/** The result of a vote. */
export interface Tally {
  /** index of the first vote of the largest group; ties go to the group that began first. -1 without votes */
  readonly winner: number
  /** number of votes of that group */
  readonly votes: number
}

/** Counts equal votes; undefined is no vote. */
export function tally(votes: readonly (string | undefined)[]): Tally {
  const groups = new Map<string, { first: number; count: number }>()
  for (const [i, vote] of votes.entries()) {
    if (vote === undefined) continue
    const group = groups.get(vote)
    if (group) group.count++
    else groups.set(vote, { first: i, count: 1 })
  }
  let best = { first: -1, count: 0 }
  for (const group of groups.values()) if (group.count > best.count) best = group
  return { winner: best.first, votes: best.count }
}
