import {
  AnsweredError,
  asksForUsage,
  MalformedAnswer,
  parsedObject,
  StreamDecoder,
} from './dialect.ts'
import { errorText, usageOf } from './openai-answer.ts'
import type { ServerEvent } from './sse.ts'
import type { UpstreamCall } from './upstream.ts'

/** Chunks of a chat completion are passed on as they are, but for the count of tokens where only we asked for it. */
export class ChatDecoder extends StreamDecoder {
  private readonly keepsUsage: boolean

  constructor({ body }: UpstreamCall) {
    super()
    this.keepsUsage = asksForUsage(body)
  }

  event({ data }: ServerEvent): string {
    if (data === '[DONE]') {
      this.finished = true
      return ''
    }
    const chunk = parsedObject(data, 'an event')
    if (chunk.error) throw new AnsweredError(errorText(chunk.error))
    const { choices } = chunk
    if (!Array.isArray(choices)) throw new MalformedAnswer('an event has no list of choices')
    if (chunk.usage) this.usage = usageOf(chunk.usage)
    for (const choice of choices as { delta?: object; finish_reason?: unknown }[]) {
      if (choice.finish_reason) this.finished = true
      if (!this.begun && (choice.finish_reason || saysSomething(choice.delta))) this.begun = true
    }
    // the event that only counts tokens was our wish, not the client's
    if (choices.length === 0 && chunk.usage && !this.keepsUsage) return ''
    return `data: ${data.includes('\n') ? JSON.stringify(chunk) : data}\n\n`
  }
}

/** Events of `/v1/responses` have names and are passed on as they are. */
export class ResponsesDecoder extends StreamDecoder {
  event({ event, data }: ServerEvent): string {
    if (data === '[DONE]') {
      this.finished = true
      return ''
    }
    const chunk = parsedObject(data, 'an event')
    const type = String(chunk.type ?? event ?? '')
    if (type === 'error') throw new AnsweredError(errorText(chunk.error ?? chunk))
    if (type.endsWith('.delta')) this.begun = true
    if (/^response\.(completed|incomplete|failed)$/.test(type)) {
      this.begun = true
      this.finished = true
      this.usage = usageOf((chunk.response as { usage?: unknown } | undefined)?.usage)
    }
    const head = event === undefined ? '' : `event: ${event}\n`
    return `${head}data: ${data.replaceAll('\n', '\ndata: ')}\n\n`
  }
}

/** Anything but the role, which servers send ahead of the first token. */
function saysSomething(delta: object | undefined): boolean {
  for (const [field, value] of Object.entries(delta ?? {})) {
    if (field === 'role' || value === null || value === '') continue
    if (Array.isArray(value) && value.length === 0) continue
    return true
  }
  return false
}
