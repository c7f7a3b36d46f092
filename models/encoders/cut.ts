/** The remaining head and tail, in order, of a sequence that was too long. */
export interface Cut<T> {
  readonly kept: T
  readonly truncated: boolean
}

/**
 * Keeps at most `limit` tokens: the first half (rounded up) and the last. A prompt's task is stated at its
 * head or its tail, so the middle is dropped.
 */
export function cutTokens(tokens: readonly number[], limit: number): Cut<readonly number[]> {
  if (tokens.length <= limit) return { kept: tokens, truncated: false }
  const tail = Math.floor(limit / 2)
  const kept = tokens.slice(0, limit - tail)
  for (let i = tokens.length - tail; i < tokens.length; i++) kept.push(tokens[i]!)
  return { kept, truncated: true }
}

/**
 * Like `cutTokens` for text: at most `limit` UTF-16 units, with a line break between head and tail; never
 * splits a surrogate pair.
 */
export function cutText(text: string, limit: number): Cut<string> {
  if (text.length <= limit) return { kept: text, truncated: false }
  const seam = '\n...\n'
  const room = Math.max(2, limit - seam.length)
  const tail = Math.floor(room / 2)
  let end = room - tail
  if (isHighSurrogate(text.charCodeAt(end - 1))) end--
  let start = text.length - tail
  if (isHighSurrogate(text.charCodeAt(start - 1))) start++
  return { kept: `${text.slice(0, end)}${seam}${text.slice(start)}`, truncated: true }
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff
