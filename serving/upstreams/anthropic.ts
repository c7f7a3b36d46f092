import { ChatChunks, chatCompletion, fromChat } from '../conversation/chat.ts'
import {
  answersByTool,
  MessageEvents,
  messagesUsage,
  replyOfMessage,
  toMessages,
} from '../conversation/messages.ts'
import { editJson } from './body-text.ts'
import {
  AnsweredError,
  asksForUsage,
  type Dialect,
  MalformedAnswer,
  parsedObject,
  StreamDecoder,
} from './dialect.ts'
import { eventText, type ServerEvent } from './sse.ts'
import type { UpstreamCall, Usage } from './upstream.ts'

/** The supported version of the Messages API. */
const API_VERSION = '2023-06-01'

/**
 * Anthropic's Messages API behind OpenAI's chat completions, by way of the conversation form.
 *
 * @param now milliseconds since 1970: Anthropic's answers have no time, OpenAI's do
 */
export const anthropicDialect = (now: () => number): Dialect => ({
  path: (endpoint) => (endpoint === 'chat' || endpoint === 'messages' ? '/messages' : undefined),
  native: 'messages',
  forwards: ['/messages/count_tokens'],
  headers: (key) => ({
    'anthropic-version': API_VERSION,
    ...(key === undefined ? {} : { 'x-api-key': key }),
  }),
  request({ endpoint, body, text, adjusted }) {
    if (endpoint === 'chat') return toMessages(fromChat(body), adjusted ?? unheard)
    return (text && editJson(text, { model: JSON.stringify(body.model) })) ?? body
  },
  answer(call, text) {
    const message = parsedObject(text, 'the answer')
    if (message.type === 'error') throw new AnsweredError(message)
    if (!Array.isArray(message.content)) {
      throw new MalformedAnswer('the answer has no list of content')
    }
    const usage = messagesUsage(message.usage)
    if (call.endpoint === 'messages') return { body: message, usage, verbatim: true }
    const reply = replyOfMessage(message, byTool(call))
    const body = chatCompletion(reply, seconds(now))
    return { body, usage, verbatim: false }
  },
  stream: (call) =>
    call.endpoint === 'messages' ? new MessagesDecoder() : new AnthropicDecoder(call, seconds(now)),
})

const unheard = (): void => {}
const seconds = (now: () => number): number => Math.floor(now() / 1000)
const byTool = ({ body }: UpstreamCall): boolean =>
  body.response_format ? answersByTool(fromChat({ ...body, messages: [] }).output) : false

/** Events of `/v1/messages` for a client of that API: passed on unchanged, from the first. */
class MessagesDecoder extends StreamDecoder {
  private readonly counter = new MessageEvents(false)

  get usage(): Usage | undefined {
    return this.counter.usage
  }

  event({ event, data }: ServerEvent): string {
    const value = parsedObject(data, 'an event')
    const { type } = value
    if (type === undefined) throw new MalformedAnswer('an event has no type')
    if (type === 'error') throw new AnsweredError(value)
    // a ping is a sign of life alone
    if (type !== 'ping' && type !== 'message_start') this.begun = true
    this.counter.count(value)
    if (type === 'message_stop') {
      this.finished = true
      this.over = true
    }
    return eventText(data, event ?? String(type))
  }
}

/** Converts the events of Anthropic's stream to OpenAI's chunks. */
export class AnthropicDecoder extends StreamDecoder {
  private readonly events: MessageEvents
  private readonly chunks: ChatChunks
  private readonly wantsUsage: boolean

  /** @param created seconds since 1970 */
  constructor(call: UpstreamCall, created: number) {
    super()
    this.events = new MessageEvents(byTool(call))
    this.chunks = new ChatChunks(call.body.model, created, true)
    this.wantsUsage = asksForUsage(call.body) && !call.holdsUsage
  }

  get usage(): Usage | undefined {
    return this.events.usage
  }

  event({ data }: ServerEvent): string {
    const event = parsedObject(data, 'an event')
    if (event.type === undefined) throw new MalformedAnswer('an event has no type')
    if (event.type === 'error') throw new AnsweredError(event)
    let out = ''
    for (const step of this.events.read(event)) {
      // the role alone is no token; a stop without any text is an answer as well
      if (step.type !== 'start' && !(step.type === 'text' && step.text === '')) this.begun = true
      const text = this.chunks.write(step)
      if (step.type !== 'usage' || this.wantsUsage) out += text
      else this.usageEvent = text.slice('data: '.length).trimEnd()
    }
    if (event.type === 'message_stop') {
      this.finished = true
      this.over = true
    }
    return out
  }
}
