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

/** Words that refer to what was said before, of the Latin alphabet without accents. */
const REFERS =
  /\b(it|its|that|this|those|these|them|they|he|she|same|above|previous|again|continue|go on|more|why|yes|ok|okay|sure|das|dies|ja|weiter|eso|esto|sigue|cela|oui|continuez?|isso|sim)\b/i
/** Others: `\b` knows no letters but these. */
const REFERS_OTHERWISE =
  /(?<![\p{L}\p{N}])(sí|ça|это|да|ещё|продолжай)(?![\p{L}\p{N}])|继续|繼續|这个|它|続け|それ|はい|계속|그것/iu
const CORRECTS =
  /^[^\p{L}\p{N}]*((no|nope|not|wrong|incorrect|actually|sorry|i meant|i said|that'?s not|that is not|this is not|you (are|were) wrong|you didn'?t|try again|nein|falsch|non|faux|incorrecto|нет|не|não)(?![\p{L}\p{N}])|不对|不是|違|아니)/iu
const FAILED = /\b(error|exception|failed|failure|traceback|not found|denied|timed? ?out|fatal)\b/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
const NOT_ASCII = /[^\x00-\x7f]/

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
  const other = NOT_ASCII.test(start)
  const follows = users > 1
  return [
    users,
    Math.round(100 * Math.log1p(characters)) / 100,
    Math.round(100 * Math.log1p(question.length)) / 100,
    Number(follows && question.length <= SHORT),
    Number(follows && (REFERS.test(start) || (other && REFERS_OTHERWISE.test(start)))),
    Number(follows && corrects(start)),
    Number(before !== undefined && isRepeated(start, before.text.slice(0, SEARCHED))),
    Number(isCode(start)),
    tools.length,
    results,
    Number(tool !== undefined && FAILED.test(tool.text.slice(0, SEARCHED))),
    other ? scriptOf(start) : 0,
  ]
}

/** Whether a user's text begins as a correction does, in one of several languages. */
export const corrects = (text: string): boolean => CORRECTS.test(text.slice(0, SEARCHED))

const STATEMENTS = ['import ', 'from ', '#include ', 'class ']

/** Literal signs are looked for before expressions are run: most texts hold none. */
const isCode = (text: string): boolean =>
  text.includes('```') ||
  text.includes('=>') ||
  (text.includes(';') && /;\s*$/m.test(text)) ||
  (text.includes('def ') && /\bdef \w+\(/.test(text)) ||
  (text.includes('function') && /\bfunction\b.*[({]/.test(text)) ||
  (STATEMENTS.some((start) => text.includes(start)) &&
    /^\s*(import|from|#include|class) \S/m.test(text))

// the words of two texts of at most SEARCHED characters; reused, as every follow-up is compared
const words = new Int32Array(SEARCHED)
const earlierWords = new Int32Array(SEARCHED)

/** Whether two texts share most of their different words; never if one is over three times as long as the other. */
function isRepeated(question: string, before: string): boolean {
  const [a, b] = [question.length, before.length]
  if (3 * Math.min(a, b) < Math.max(a, b)) return false
  const n = hashWords(question, words)
  const m = hashWords(before, earlierWords)
  let shared = 0
  for (let i = 0, j = 0; i < n && j < m; ) {
    const difference = words[i]! - earlierWords[j]!
    if (difference === 0) shared++
    if (difference <= 0) i++
    if (difference >= 0) j++
  }
  return n > 0 && shared / (n + m - shared) >= REPEATED
}

/** Writes the different words of a text in lower case, ascending by their 32-bit FNV-1a hashes; returns how many. */
function hashWords(text: string, into: Int32Array): number {
  const lower = text.toLowerCase()
  let count = 0
  let hash = FNV_START
  for (let i = 0; i <= lower.length && count < into.length; i++) {
    const code = i < lower.length ? lower.charCodeAt(i) : 0
    if (isWordUnit(code)) hash = Math.imul(hash ^ code, FNV_PRIME)
    else if (hash !== FNV_START) {
      into[count++] = hash
      hash = FNV_START
    }
  }
  into.subarray(0, count).sort()
  let different = 0
  for (let i = 0; i < count; i++) {
    if (i === 0 || into[i] !== into[i - 1]) into[different++] = into[i]!
  }
  return different
}

const FNV_START = 0x811c9dc5 | 0
const FNV_PRIME = 0x01000193

/** 1 for the small letters and digits of ASCII. */
const ASCII_WORD = Uint8Array.from({ length: 128 }, (_, code) =>
  Number(/[a-z0-9]/.test(String.fromCharCode(code))),
)

/** Beyond ASCII, everything but Latin-1's signs, general punctuation and CJK punctuation stands in words. */
const isWordUnit = (code: number): boolean =>
  code < 128
    ? ASCII_WORD[code] === 1
    : code >= 0xc0 && !(code >= 0x2000 && code <= 0x206f) && !(code >= 0x3000 && code <= 0x303f)

/** 0: mostly Latin; 1: another alphabet; 2: a script without spaces (Chinese, Japanese, Thai). */
function scriptOf(text: string): number {
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
