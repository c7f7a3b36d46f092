import type { Conversation, Turn } from './transcript.ts'

/**
 * What a router can know of a conversation besides its words. Names, in the order of `conversationFeatures`;
 * stored in bundles, so their order and meaning do not change.
 */
export const CONVERSATION_FEATURES = [
  'user turns',
  'characters so far',
  'characters of the last question',
  'short follow-up',
  'refers back',
  'correction',
  'repeated question',
  'code',
  'tools offered',
  'tool results since the question',
  'last tool call failed',
  'script',
] as const

/** A follow-up of at most this many characters says little by itself. */
const SHORT = 60
/** What is searched of a text for words, and of a tool's result for a failure. */
const SEARCHED = 400
/** Share of words that two questions have in common where the second repeats the first. */
const REPEATED = 0.6

const REFERS =
  /\b(it|its|that|this|those|these|them|they|he|she|same|above|previous|again|continue|go on|more|why|yes|ok|okay|sure|das|dies|ja|weiter|eso|esto|sí|sigue|ça|cela|oui|continuez?|это|да|ещё|продолжай|isso|sim)\b|继续|繼續|这个|它|続け|それ|はい|계속|그것/iu
const CORRECTS =
  /^\W*(no\b|nope\b|not\b|wrong\b|incorrect\b|actually\b|sorry\b|i meant\b|i said\b|that'?s not\b|that is not\b|this is not\b|you (are|were) wrong\b|you didn'?t\b|try again\b|nein\b|falsch\b|non\b|faux\b|incorrecto\b|нет\b|не\b|não\b|不对|不是|違|아니)/iu
const FAILED = /\b(error|exception|failed|failure|traceback|not found|denied|timed? ?out|fatal)\b/i
const CODE = /```|\bdef \w+\(|\bfunction\b.*[({]|=>|;\s*$|^\s*(import|from|#include|class) \S/m

/**
 * The features of a conversation, one per name; counts, lengths as ln(1 + n), and 1 or 0 for the rest. `script` is
 * 0 for Latin, 1 for other alphabets and 2 for scripts without spaces. In time linear in the conversation's number
 * of turns and the last questions' lengths.
 */
export function conversationFeatures({ turns, tools }: Conversation): number[] {
  let users = 0
  let characters = 0
  let results = 0
  let last: Turn | undefined
  let before: Turn | undefined
  let tool: Turn | undefined
  for (let i = turns.length - 1; i >= 0; i--) {
    const turn = turns[i]!
    characters += turn.text.length
    if (turn.role === 'user') {
      users++
      if (last === undefined) last = turn
      else before ??= turn
    } else if ((turn.role === 'tool' || turn.role === 'function') && last === undefined) {
      results++
      tool ??= turn
    }
  }
  const question = last?.text ?? ''
  const start = question.slice(0, SEARCHED)
  const follows = users > 1
  return [
    users,
    Math.round(100 * Math.log1p(characters)) / 100,
    Math.round(100 * Math.log1p(question.length)) / 100,
    Number(follows && question.length <= SHORT),
    Number(follows && REFERS.test(start)),
    Number(follows && CORRECTS.test(start)),
    Number(before !== undefined && isRepeated(start, before.text.slice(0, SEARCHED))),
    Number(CODE.test(start)),
    tools.length,
    results,
    Number(tool !== undefined && FAILED.test(tool.text.slice(0, SEARCHED))),
    scriptOf(start),
  ]
}

function isRepeated(question: string, before: string): boolean {
  const words = wordsOf(question)
  if (words.size === 0) return false
  const earlier = wordsOf(before)
  let shared = 0
  for (const word of words) if (earlier.has(word)) shared++
  return shared / (words.size + earlier.size - shared) >= REPEATED
}

const wordsOf = (text: string): Set<string> =>
  new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])

/** 0: mostly Latin; 1: another alphabet; 2: a script without spaces (Chinese, Japanese, Thai). */
function scriptOf(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  if (!/[^\x00-\x7f]/.test(text)) return 0
  let latin = 0
  let spaced = 0
  let unspaced = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x0250) latin += Number((code | 32) > 96 && (code | 32) < 123)
    else if ((code >= 0x3040 && code <= 0x9fff) || (code >= 0x0e00 && code <= 0x0e7f)) unspaced++
    else spaced++
  }
  // a character of these scripts says as much as a word's two or three letters
  if (2 * unspaced > latin + spaced) return 2
  return spaced > latin ? 1 : 0
}
