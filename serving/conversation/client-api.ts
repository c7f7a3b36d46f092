import type { BodyText } from '../../core/json/large.ts'
import { PROMPT_LIMIT } from '../../models/decision/route-request.ts'
import { fromChat, toChat } from './chat.ts'
import { ChatReader, replyOfChat } from './chat-reader.ts'
import {
  type Adjusted,
  type ApiName,
  type Conversation,
  type Fields,
  type ReplyEvent,
  UntranslatableRequest,
  type Usage,
} from './form.ts'
import { fromMessages, toMessages } from './messages.ts'
import { MessagesWriter, messageOf, PING } from './messages-writer.ts'
import { changedResponses, fromResponses } from './responses.ts'
import { ResponsesWriter, responseOf } from './responses-writer.ts'

/**
 * APIs other than chat completions that clients may use for a routed request. Policies, strategies and budgets
 * work on chat bodies: a request is read as one, and its answer is written as its client's API has it. An
 * upstream of the client's own API gets the client's body, and its answer is passed on.
 */
export type ClientApi = Exclude<ApiName, 'chat'>

/** A request as its client wrote it. */
export interface ClientBody {
  readonly api: ClientApi
  readonly body: Fields
  /** the JSON that `body` was parsed from */
  readonly text: BodyText | undefined
  /** what the chat body leaves out or changes */
  readonly adjusted: readonly string[]
  /** what no chat body can say: only an upstream of the client's own API can answer */
  readonly refused: UntranslatableRequest | undefined
}

interface ApiRow {
  readonly read: (body: Fields) => Conversation
  /** the client's body with changes that are named as in chat bodies; undefined removes a field */
  readonly changed: (body: Fields, changes: Fields, adjusted: Adjusted) => Record<string, unknown>
  /** with instructions before its own */
  readonly instructed: (body: Fields, system: string) => Fields
  readonly writer: (body: Fields, created: number) => AnswerWriter
  readonly whole: (
    reply: ReturnType<typeof replyOfChat>,
    body: Fields,
    created: number,
  ) => Record<string, unknown>
}

/** Writes the events of one streamed answer. */
interface AnswerWriter {
  write(step: ReplyEvent): string
  /** the last events, once all tokens are counted */
  end(usage: Usage | undefined): string
}

const object = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : undefined

/** Whether a body of `/v1/messages` asks to see what the model thinks. */
function asksForThinking(body: Fields): boolean {
  const type = object(body.thinking)?.type
  return type === 'enabled' || type === 'adaptive'
}

const ROWS: Readonly<Record<ClientApi, ApiRow>> = {
  messages: {
    read: fromMessages,
    changed(body, changes, adjusted) {
      const { max_tokens: limit, ...others } = changes
      const given = { ...others, max_completion_tokens: limit ?? changes.max_completion_tokens }
      const { rest, ...fields } = fromChat({ model: body.model, messages: [], ...given })
      const conversation = fromMessages(body)
      const merged: Record<string, unknown> = { ...conversation }
      for (const field of [
        'maxTokens',
        'temperature',
        'topP',
        'topK',
        'stop',
        'reasoning',
      ] as const) {
        if (!CHANGES[field].some((name) => name in changes)) continue
        merged[field] = fields[field]
      }
      for (const field of Object.keys(rest)) adjusted(`${field} left out`)
      return toMessages(merged as unknown as Conversation, adjusted)
    },
    instructed: ({ system, ...body }, text) => ({
      ...body,
      system: [
        { type: 'text', text },
        ...(typeof system === 'string'
          ? [{ type: 'text', text: system }]
          : ((system as Fields[] | undefined) ?? [])),
      ],
    }),
    writer: (body) => new MessagesWriter(asksForThinking(body)),
    whole: (reply, body) => messageOf(reply, asksForThinking(body)),
  },
  responses: {
    read: fromResponses,
    changed: (body, changes, adjusted) =>
      changedResponses(body, changes, (field) => adjusted(`${field} left out`)),
    instructed: ({ instructions, ...body }, text) => ({
      ...body,
      instructions: instructions ? `${text}\n\n${String(instructions)}` : text,
    }),
    writer: (asked, created) => new ResponsesWriter({ asked, created }),
    whole: (reply, asked, created) => responseOf(reply, { asked, created }),
  },
}

/** The fields of a chat body that each field of the form comes from. */
const CHANGES = {
  maxTokens: ['max_tokens', 'max_completion_tokens'],
  temperature: ['temperature'],
  topP: ['top_p'],
  topK: ['top_k'],
  stop: ['stop'],
  reasoning: ['reasoning_effort', 'thinking', 'reasoning'],
} as const

/**
 * The chat body that a client's body stands for, for policies and upstreams of OpenAI's chat API.
 *
 * @param body fits the API's schema
 * @throws UntranslatableRequest for what no upstream can be asked
 */
export function readClientBody(
  api: ClientApi,
  body: Fields,
  text: BodyText | undefined,
): { readonly chat: Record<string, unknown>; readonly client: ClientBody } {
  const adjusted: string[] = []
  let refused: UntranslatableRequest | undefined
  const conversation = readable(api, body, (fault) => {
    refused ??= fault
  })
  const chat = toChat(
    conversation,
    (what) => adjusted.push(what),
    (fault) => {
      refused ??= fault
    },
  )
  return { chat, client: { api, body, text, adjusted, refused } }
}

/**
 * The conversation, with what only this API knows as text, so that policies read it; it is never sent as text,
 * as `refused` was told of it. Privacy rules read the client's own body.
 */
function readable(
  api: ClientApi,
  body: Fields,
  refused: (fault: UntranslatableRequest) => void,
): Conversation {
  const conversation = ROWS[api].read(body)
  const opaque = (what: string, field: string): void => {
    refused(new UntranslatableRequest(`chat completions have no ${what}`, field))
  }
  // it may be in a template or an earlier response, which only an upstream of this API has
  if (conversation.turns.length === 0) opaque('requests without input', 'input')
  const turns = conversation.turns.map((turn) => {
    if (!turn.parts.some(({ type }) => type === 'opaque')) return turn
    const parts = turn.parts.map((part) => {
      if (part.type !== 'opaque') return part
      const type = String(part.value.type)
      opaque(`content of type ${type}`, api === 'responses' ? 'input' : 'messages')
      return { type: 'text', text: JSON.stringify(part.value, endsOfLong) } as const
    })
    return { ...turn, parts }
  })
  const tools = conversation.tools?.map((tool) => {
    if (!tool.opaque || tool.opaque.from === 'chat') return tool
    opaque(`tools of type ${String(tool.opaque.value.type)}`, 'tools')
    return { name: tool.name, description: JSON.stringify(tool.opaque.value) }
  })
  return { ...conversation, turns, tools }
}

/** Characters of each end of a long string that policies read: as many as routers do. */
const ENDS = PROMPT_LIMIT / 2

const endsOfLong = (_: string, value: unknown): unknown =>
  typeof value === 'string' && value.length > 2 * ENDS
    ? `${value.slice(0, ENDS)}\n${value.slice(-ENDS)}`
    : value

/** A client's body with a model's parameters, which are named as in chat bodies, and instructions. */
export function changedClientBody(
  api: ClientApi,
  body: Fields,
  changes: Fields | undefined,
  system: string | undefined,
  adjusted: Adjusted,
): Record<string, unknown> {
  const row = ROWS[api]
  const given = system === undefined ? body : row.instructed(body, system)
  return changes === undefined ? { ...given } : row.changed(given, changes, adjusted)
}

/** A whole chat completion as its client's API has it. @param created seconds since 1970 */
export function clientAnswer(
  { api, body }: ClientBody,
  answer: Fields,
  usage: Usage | undefined,
  created: number,
): Record<string, unknown> {
  return ROWS[api].whole(replyOfChat(answer, usage), body, created)
}

/** Writes the chunks of a streamed chat completion as the events of its client's API. */
export class ClientStream {
  private readonly reader = new ChatReader()
  private readonly writer: AnswerWriter
  private readonly api: ClientApi
  private begun = false

  /** @param created seconds since 1970 */
  constructor({ api, body }: ClientBody, created: number) {
    this.api = api
    this.writer = ROWS[api].writer(body, created)
  }

  /** @param chunk whole server-sent events, as upstreams give them */
  write(chunk: string): string {
    let out = ''
    for (let start = 0; start < chunk.length; ) {
      let end = chunk.indexOf('\n\n', start)
      if (end < 0) end = chunk.length
      out += this.event(chunk.slice(start, end))
      start = end + 2
    }
    return out
  }

  private event(text: string): string {
    // one line of data is the rule
    const data = text.startsWith('data: ') && !text.includes('\n') ? text.slice(6) : dataOf(text)
    if (data === '') return this.begun && this.api === 'messages' ? PING : ''
    let out = ''
    for (const step of this.reader.read(JSON.parse(data) as Fields)) out += this.writer.write(step)
    this.begun = true
    return out
  }

  /** @param usage once the chunks have ended */
  end(usage: Usage | undefined): string {
    return this.writer.end(usage)
  }
}

/** The data lines of an event; '' for a comment. */
const dataOf = (text: string): string =>
  text
    .split('\n')
    .flatMap((line) => (line.startsWith('data:') ? [line.slice(5).replace(/^ /, '')] : []))
    .join('\n')
