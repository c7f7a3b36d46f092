import { WeirError } from './errors.ts'

/** Largest request body, in bytes: a prompt of a million characters fits, ten megabytes do not. */
export const BODY_LIMIT = 8 * 1024 * 1024

/** Deepest nesting of a request body; chat messages with tools need about ten. */
export const DEPTH_LIMIT = 64

/**
 * Parses a body. What the schema does not name is refused later, so a key like `__proto__` never
 * reaches anything that merges objects.
 *
 * @throws request_invalid, too_deep
 */
export function parseJsonBody(text: string): unknown {
  if (text === '') {
    throw new WeirError('request_invalid', { where: 'body', expected: 'JSON', got: 'nothing' })
  }
  if (!nestedWithin(text, DEPTH_LIMIT)) throw new WeirError('too_deep', { limit: DEPTH_LIMIT })
  try {
    return JSON.parse(text)
  } catch (cause) {
    // V8's message quotes the body: only its first words go out
    const got = `${(cause as Error).message.slice(0, 80)}`
    throw new WeirError('request_invalid', { where: 'body', expected: 'JSON', got }, { cause })
  }
}

/** Whether brackets nest at most so deep; strings are jumped over. */
export function nestedWithin(text: string, limit: number): boolean {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) {
      i = stringEnd(text, i)
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > limit) return false
    } else if (code === 0x5d || code === 0x7d) {
      depth--
    }
  }
  return true
}

/** Index of the quote that ends the string which begins at `start`, or of the text's end. */
export function stringEnd(text: string, start: number): number {
  let end = start
  for (;;) {
    end = text.indexOf('"', end + 1)
    if (end < 0) return text.length
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++
    if (slashes % 2 === 0) return end
  }
}
