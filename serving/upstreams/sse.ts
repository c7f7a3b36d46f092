/** One server-sent event: its data lines joined; comments and other fields say nothing to us. */
export interface ServerEvent {
  readonly event: string | undefined
  readonly data: string
}

/** Longest event that is waited for, in UTF-16 units: a stream without line ends must not fill memory. */
export const EVENT_LIMIT = 4 * 1024 * 1024

/**
 * Takes a stream of text apart into events, however it was cut into packets (WHATWG HTML, section 9.2).
 * A line ends in LF, CR LF or CR; an event ends at an empty line.
 */
export class EventParser {
  private rest = ''
  private event: string | undefined
  private data: string | undefined

  /** The events that are whole now. @throws RangeError where one is past `EVENT_LIMIT` */
  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = []
    const buffer = this.rest === '' ? text : this.rest + text
    let start = 0
    for (;;) {
      const end = lineEnd(buffer, start)
      if (end < 0) break
      // a CR that ends the buffer may be half of a CR LF
      if (buffer.charCodeAt(end) === CR && end + 1 === buffer.length) break
      this.line(buffer.slice(start, end), events)
      start = end + (buffer.charCodeAt(end) === CR && buffer.charCodeAt(end + 1) === LF ? 2 : 1)
    }
    this.rest = start === 0 ? buffer : buffer.slice(start)
    if (this.rest.length + (this.data?.length ?? 0) > EVENT_LIMIT) {
      throw new RangeError(`an event of more than ${EVENT_LIMIT} characters`)
    }
    return events
  }

  /** Whether the stream ended between two events. */
  get atBoundary(): boolean {
    return this.data === undefined && this.rest.trim() === ''
  }

  private line(line: string, events: ServerEvent[]): void {
    if (line === '') {
      if (this.data !== undefined) events.push({ event: this.event, data: this.data })
      this.event = undefined
      this.data = undefined
      return
    }
    const colon = line.indexOf(':')
    if (colon === 0) return
    const field = colon < 0 ? line : line.slice(0, colon)
    const value =
      colon < 0 ? '' : line.slice(line.charCodeAt(colon + 1) === SPACE ? colon + 2 : colon + 1)
    if (field === 'data') this.data = this.data === undefined ? value : `${this.data}\n${value}`
    else if (field === 'event') this.event = value
  }
}

const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20

function lineEnd(text: string, start: number): number {
  const lf = text.indexOf('\n', start)
  const cr = text.indexOf('\r', start)
  if (cr < 0) return lf
  return lf < 0 ? cr : Math.min(lf, cr)
}
