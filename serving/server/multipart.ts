import { isUtf8 } from 'node:buffer'
import { WeirError } from '../../core/errors.ts'

/** One part of a `multipart/form-data` body (RFC 7578). */
export interface FormPart {
  readonly name: string
  /** of a file, as the client calls it */
  readonly filename: string | undefined
  readonly type: string | undefined
  /** where its content is in the body */
  readonly start: number
  readonly end: number
}

const CRLF = '\r\n'
const HEAD_END = Buffer.from('\r\n\r\n')
/** Longest head of a part, in bytes, and most parts of a body. */
const HEAD_LIMIT = 16 * 1024
const PARTS_LIMIT = 1000

/** The parts of a form, in order. @throws request_invalid */
export function formParts(bytes: Buffer, contentType: string): FormPart[] {
  const [, quoted, bare] =
    /;\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))/i.exec(contentType) ?? []
  const boundary = quoted ?? bare
  if (boundary === undefined) throw invalid('a boundary in content-type', contentType)
  const delimiter = Buffer.from(`${CRLF}--${boundary}`, 'latin1')
  const parts: FormPart[] = []
  // the first delimiter may be at the very start, without a line end before it
  const first = delimiter.subarray(CRLF.length)
  let at = bytes.subarray(0, first.length).equals(first) ? first.length : after(bytes, delimiter, 0)
  for (;;) {
    if (at < 0) throw invalid('a part to end with its boundary', 'the end of the body')
    const mark = bytes.toString('latin1', at, at + 2)
    if (mark === '--') return parts
    // white space may follow a boundary on its line
    const line = bytes.indexOf(CRLF, at, 'latin1')
    if (line < 0 || bytes.toString('latin1', at, line).trim() !== '') {
      throw invalid('a line end behind a boundary', JSON.stringify(mark))
    }
    const head = bytes.indexOf(HEAD_END, line)
    if (head < 0 || head - line > HEAD_LIMIT) throw invalid('headers of a part', 'none that end')
    const start = head + HEAD_END.length
    const end = bytes.indexOf(delimiter, start - CRLF.length)
    if (end < 0) throw invalid('a part to end with its boundary', 'the end of the body')
    if (parts.length === PARTS_LIMIT) throw invalid(`at most ${PARTS_LIMIT} parts`, 'more')
    parts.push(partOf(bytes.toString('utf8', line, head), start, Math.max(start, end)))
    at = end + delimiter.length
  }
}

const after = (bytes: Buffer, delimiter: Buffer, from: number): number => {
  const at = bytes.indexOf(delimiter, from)
  return at < 0 ? -1 : at + delimiter.length
}

function partOf(head: string, start: number, end: number): FormPart {
  const headers = new Map<string, string>()
  for (const line of head.split(CRLF).filter((one) => one !== '')) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).trim().toLowerCase()
    // parsers differ in how they read a header twice, or over several lines
    if (colon < 1 || /^\s/.test(line) || headers.has(name)) throw invalid('headers of a part', line)
    headers.set(name, line.slice(colon + 1).trim())
  }
  const disposition = headers.get('content-disposition') ?? ''
  const parameters = parametersOf(disposition)
  const name = parameters.get('name')
  if (name === undefined || parameters.has('name*')) {
    throw invalid('content-disposition: form-data; name="..."', disposition)
  }
  const filename = parameters.get('filename') ?? parameters.get('filename*')
  return { name, filename, type: headers.get('content-type'), start, end }
}

/** @throws request_invalid if one is given twice */
function parametersOf(disposition: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const match of disposition.matchAll(
    /;\s*([^\s=;]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))/g,
  )) {
    const [, name = '', quoted, bare = ''] = match
    const key = name.toLowerCase()
    if (found.has(key)) throw invalid('each parameter once', disposition)
    found.set(key, quoted === undefined ? bare.trim() : quoted.replace(/\\(.)/g, '$1'))
  }
  return found
}

/** The value of a field that is no file; undefined if the form has none. @throws request_invalid if it is twice */
export function formField(
  bytes: Buffer,
  parts: readonly FormPart[],
  field: string,
): FormValue | undefined {
  const named = parts.filter(({ name }) => name.trim().toLowerCase() === field)
  const [part] = named
  if (!part) return undefined
  if (named.length > 1) throw invalid(`${field} once`, `${named.length} times`)
  return { ...part, value: bytes.toString('utf8', part.start, part.end) }
}

export interface FormValue extends FormPart {
  readonly value: string
}

/** The form with another value for one part; everything else keeps its bytes. */
export const withFormValue = (bytes: Buffer, { start, end }: FormPart, value: string): Buffer =>
  Buffer.concat([bytes.subarray(0, start), Buffer.from(value), bytes.subarray(end)])

/** What can be read of a form: its fields, and files that are text; other files by their type and name alone. */
export function readableForm(bytes: Buffer, parts: readonly FormPart[]): Record<string, unknown>[] {
  return parts.map(({ name, filename, type, start, end }) => {
    const content = bytes.subarray(start, end)
    const text = isUtf8(content) ? content.toString('utf8') : undefined
    const its = filename === undefined ? {} : { filename }
    if (text !== undefined) return { [name]: text, ...its }
    return { type: type && /image|audio|video/.test(type) ? type : 'file', ...its }
  })
}

const invalid = (expected: string, got: string): WeirError =>
  new WeirError('request_invalid', { where: 'body', expected, got: got.slice(0, 200) })
