import { stringEnd } from '../../core/json-body.ts'

/**
 * The text of a JSON object with another value of its top-level `model`, the rest to the letter: numbers
 * keep their digits, and a long conversation is not written anew. Undefined where that cannot be done for
 * sure, and where any object says a field twice: parsers differ in which one they take, so an upstream
 * could read another text than the one that limits were held against.
 *
 * @param text JSON that has been parsed: an object whose `model` is a string
 */
export function withModel(text: string, model: string): string | undefined {
  let depth = 0
  /** fields of the objects that are open, by depth */
  const fields: Set<string>[] = []
  let from = -1
  let to = -1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) {
      const end = stringEnd(text, i)
      const colon = skipSpace(text, end + 1)
      if (text.charCodeAt(colon) === COLON) {
        const field = fieldName(text, i, end)
        const open = fields[depth]!
        if (open.has(field)) return undefined
        open.add(field)
        i = colon
        if (depth !== 1 || field !== 'model') continue
        from = skipSpace(text, colon + 1)
        if (text.charCodeAt(from) !== QUOTE) return undefined
        i = stringEnd(text, from)
        to = i + 1
      } else {
        i = end
      }
    } else if (code === 0x7b) {
      fields[++depth] = new Set()
    } else if (code === 0x5b) {
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

/** As it is meant: a name may be spelt with escapes. */
function fieldName(text: string, quote: number, end: number): string {
  const name = text.slice(quote + 1, end)
  return name.includes('\\') ? (JSON.parse(text.slice(quote, end + 1)) as string) : name
}

const QUOTE = 0x22
const COLON = 0x3a

function skipSpace(text: string, start: number): number {
  let i = start
  while (text.charCodeAt(i) <= 0x20) i++
  return i
}
