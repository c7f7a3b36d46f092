import { stringEnd } from '../../core/json-body.ts'

/**
 * Replaces the top-level `model` in the text of a JSON object and keeps the rest unchanged: numbers keep
 * their digits, and a long conversation is not serialized again. Undefined if that is not certain to work,
 * and if any object has a duplicate field: parsers differ in which one they take, so an upstream could read a
 * different text from the one that limits were checked against.
 *
 * @param text JSON that has been parsed: an object whose `model` is a string
 */
export function withModel(text: string, model: string): string | undefined {
  let depth = 0
  /** fields of the open objects, by depth */
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

/** Adds a field to the text of a JSON object, which must not be empty. */
export function withField(text: string, name: string, value: unknown): string {
  const end = text.lastIndexOf('}')
  return `${text.slice(0, end)},${JSON.stringify(name)}:${JSON.stringify(value)}}`
}

/** The unescaped name: it may be written with escapes. */
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
