import { stringEnd } from '../json-body.ts'

/**
 * The text of a JSON object with another value of its top-level `model`, the rest to the letter: numbers
 * keep their digits, and a long conversation is not written anew. Undefined where that cannot be done for
 * sure, such as where the field comes twice.
 *
 * @param text JSON that has been parsed: an object whose `model` is a string
 */
export function withModel(text: string, model: string): string | undefined {
  let depth = 0
  let from = -1
  let to = -1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) {
      const end = stringEnd(text, i)
      const colon = depth === 1 ? skipSpace(text, end + 1) : -1
      if (colon >= 0 && text.charCodeAt(colon) === COLON) {
        const key = text.slice(i + 1, end)
        // a key may be spelt in more than one way
        if (key.includes('\\')) return undefined
        i = colon
        if (key !== 'model') continue
        if (from >= 0) return undefined
        from = skipSpace(text, colon + 1)
        if (text.charCodeAt(from) !== QUOTE) return undefined
        i = stringEnd(text, from)
        to = i + 1
      } else {
        i = end
      }
    } else if (code === 0x5b || code === 0x7b) {
      depth++
    } else if (code === 0x5d || code === 0x7d) {
      depth--
    }
  }
  return from < 0 ? undefined : text.slice(0, from) + JSON.stringify(model) + text.slice(to)
}

/** The text of a JSON object, not an empty one, with one more field. */
export function withField(text: string, name: string, value: unknown): string {
  const end = text.lastIndexOf('}')
  return `${text.slice(0, end)},${JSON.stringify(name)}:${JSON.stringify(value)}}`
}

const QUOTE = 0x22
const COLON = 0x3a

function skipSpace(text: string, start: number): number {
  let i = start
  while (text.charCodeAt(i) <= 0x20) i++
  return i
}
