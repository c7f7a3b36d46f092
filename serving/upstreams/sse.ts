import { createParser } from 'eventsource-parser'

/** One server-sent event: its data lines joined. Fields other than these are ignored. */
export interface ServerEvent {
  readonly event: string | undefined
  readonly data: string
  /** the text of a comment, which servers send to keep a connection alive; then there are no data */
  readonly comment?: string
}

/** Longest event in UTF-16 units: a stream without line ends must not fill memory. */
export const EVENT_LIMIT = 4 * 1024 * 1024

/**
 * Splits a stream of text into events, however it was cut into packets (WHATWG HTML, section 9.2). A line
 * ends in LF, CR LF or CR; an event ends at an empty line. Takes time linear in the text and in the number of
 * packets.
 */
export class EventParser {
  private events: ServerEvent[] = []
  private tooLong = false
  /** the last packet ended in CR: an LF that begins the next one belongs to the same line end */
  private afterCR = false
  private readonly parser = createParser({
    maxBufferSize: EVENT_LIMIT,
    onEvent: ({ event, data }) => this.events.push({ event, data }),
    onComment: (comment) => this.events.push({ event: undefined, data: '', comment }),
    // unknown fields are ignored
    onError: ({ type }) => {
      if (type === 'max-buffer-size-exceeded') this.tooLong = true
    },
  })

  /**
   * The events and comments that are complete now, in order.
   *
   * @throws RangeError if one is longer than `EVENT_LIMIT`
   */
  push(text: string): ServerEvent[] {
    if (text !== '' && !this.tooLong) this.parser.feed(this.withLineFeeds(text))
    if (this.tooLong) throw new RangeError(`an event of more than ${EVENT_LIMIT} characters`)
    const { events } = this
    if (events.length > 0) this.events = []
    return events
  }

  /** The stream has ended: returns the event whose blank line never came, if there is one. */
  flush(): ServerEvent[] {
    return this.push('\n\n')
  }

  /**
   * The parser searches for the next CR from every line of a packet that has one, so CRs are replaced before.
   */
  private withLineFeeds(text: string): string {
    const rest = this.afterCR && text.startsWith('\n') ? text.slice(1) : text
    this.afterCR = text.endsWith('\r')
    return rest.includes('\r') ? rest.replace(/\r\n?/g, '\n') : rest
  }
}

/** The last event of streams of OpenAI's API; some servers write blanks around it. */
export const isDone = (data: string): boolean =>
  data === '[DONE]' || (data.length < 32 && data.trim().toUpperCase() === '[DONE]')

/** One event as text. @param event its name, if it has one */
export function eventText(data: string, event?: string): string {
  const head = event === undefined ? '' : `event: ${event}\n`
  return `${head}data: ${data.includes('\n') ? data.replaceAll('\n', '\ndata: ') : data}\n\n`
}
