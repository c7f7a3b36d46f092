import { stringEnd } from '../../core/json/body.ts'
import { type BodyText, LargeJson } from '../../core/json/large.ts'

/**
 * Changes to top-level fields of a JSON object, by name: the JSON text of the new value, a function of the
 * text of the old one (undefined if the field is absent), or null to remove the field.
 */
export type JsonEdits = Readonly<
  Record<string, string | null | ((value: string | undefined) => string)>
>

interface Member {
  readonly name: string
  readonly nameStart: number
  readonly valueStart: number
  valueEnd: number
}

/**
 * Changes top-level fields in the text of a JSON object and keeps the rest unchanged: numbers keep their
 * digits, and a long conversation is not serialized again. Undefined if any object has a duplicate field:
 * parsers differ in which one they take, so an upstream could read a different text from the one that limits
 * were checked against.
 *
 * @param text JSON that has been parsed: an object. Of a large one, edits see marks instead of long strings
 */
export function editJson<T extends BodyText>(text: T, edits: JsonEdits): T | undefined
export function editJson(text: BodyText, edits: JsonEdits): BodyText | undefined {
  if (text instanceof LargeJson) {
    const outline = editJson(text.outline, edits)
    return outline === undefined ? undefined : text.with(outline)
  }
  const members = topLevelMembers(text)
  if (!members) return undefined
  const found = new Set<string>()
  let out = ''
  let cursor = 0
  let kept = 0
  for (const [i, { name, nameStart, valueStart, valueEnd }] of members.entries()) {
    const edit = Object.hasOwn(edits, name) ? edits[name] : undefined
    if (edit === undefined) {
      kept++
      continue
    }
    found.add(name)
    if (edit === null) {
      // with the comma before it, or, if nothing is kept before it, the one after it
      out += text.slice(cursor, kept > 0 ? members[i - 1]!.valueEnd : nameStart)
      cursor = kept > 0 ? valueEnd : (members[i + 1]?.nameStart ?? valueEnd)
      continue
    }
    kept++
    out += text.slice(cursor, valueStart)
    out += typeof edit === 'string' ? edit : edit(text.slice(valueStart, valueEnd))
    cursor = valueEnd
  }
  const end = text.lastIndexOf('}')
  out += text.slice(cursor, end)
  for (const name in edits) {
    const edit = edits[name]!
    if (edit === null || found.has(name)) continue
    const value = typeof edit === 'string' ? edit : edit(undefined)
    out += `${kept++ > 0 ? ',' : ''}${JSON.stringify(name)}:${value}`
  }
  return out + text.slice(end)
}

/** The members of the outermost object, in order; undefined if any object has a field twice. */
function topLevelMembers(text: string): Member[] | undefined {
  let depth = 0
  /** fields of the open objects, by depth */
  const fields: Set<string>[] = []
  const members: Member[] = []
  let open: Member | undefined
  /** end of the last token, without the white space behind it */
  let last = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code <= 0x20) continue
    if (code === QUOTE) {
      const end = stringEnd(text, i)
      const colon = skipSpace(text, end + 1)
      if (text.charCodeAt(colon) === COLON) {
        const name = fieldName(text, i, end)
        const its = fields[depth]!
        if (its.has(name)) return undefined
        its.add(name)
        if (depth === 1) {
          open = { name, nameStart: i, valueStart: skipSpace(text, colon + 1), valueEnd: -1 }
          members.push(open)
        }
        i = colon
      } else {
        i = end
      }
    } else if (code === 0x7b) {
      fields[++depth] = new Set()
    } else if (code === 0x5b) {
      depth++
    } else if (code === 0x5d || code === 0x7d) {
      if (--depth === 0 && open) open.valueEnd = last
    } else if (code === 0x2c) {
      if (depth === 1 && open) open.valueEnd = last
    } else if (code !== COLON) {
      // a number or a word: long ones are skipped twice as fast this way
      SCALAR_END.lastIndex = i + 1
      i = SCALAR_END.test(text) ? SCALAR_END.lastIndex - 2 : text.length - 1
    }
    last = i + 1
  }
  return members
}

/** The unescaped name: it may be written with escapes. */
function fieldName(text: string, quote: number, end: number): string {
  const name = text.slice(quote + 1, end)
  return name.includes('\\') ? (JSON.parse(text.slice(quote, end + 1)) as string) : name
}

const QUOTE = 0x22
/** What may follow a number, `true`, `false` or `null`. */
const SCALAR_END = /[\s,\]}]/g
const COLON = 0x3a

function skipSpace(text: string, start: number): number {
  let i = start
  while (text.charCodeAt(i) <= 0x20) i++
  return i
}
