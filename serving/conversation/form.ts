/**
 * The one form that a conversation has inside Weir, whichever API it came by. Each API has one file here that
 * reads its bodies into the form and writes them from it; `docs/conversations.md` has the table of what is
 * kept, changed and refused between them.
 */

/** An API whose bodies are read and written. */
export type ApiName = 'chat' | 'messages' | 'responses'

/** Fields of a body that have no place of their own in the form, by the names of the API they came by. */
export type Fields = Readonly<Record<string, unknown>>

/** A request: the turns so far and how the next one is to be answered. Absent means "not stated". */
export interface Conversation {
  readonly from: ApiName
  readonly model: string
  /** system and developer turns are in place, where the API has them in place */
  readonly turns: readonly Turn[]
  readonly tools?: readonly Tool[] | undefined
  readonly toolChoice?: ToolChoice | undefined
  /** false: at most one tool call in an answer */
  readonly parallelCalls?: boolean | undefined
  readonly output?: OutputFormat | undefined
  readonly reasoning?: Reasoning | undefined
  /** most tokens of the answer, hidden reasoning included */
  readonly maxTokens?: number | undefined
  readonly temperature?: number | undefined
  readonly topP?: number | undefined
  readonly topK?: number | undefined
  readonly stop?: readonly string[] | undefined
  readonly stream?: boolean | undefined
  /** who the application's user is, for the provider's abuse checks */
  readonly user?: string | undefined
  /** everything else that was sent; null and absent are the same */
  readonly rest: Fields
}

export type Role = 'system' | 'developer' | 'user' | 'assistant' | 'tool'

export interface Turn {
  readonly role: Role
  readonly parts: readonly Part[]
  /** of the participant */
  readonly name?: string | undefined
  readonly rest?: Fields | undefined
}

export type Part = TextPart | MediaPart | ThinkingPart | CallPart | ResultPart | OpaquePart

/** A mark where the provider's prompt cache may end; written as it came. */
export type CacheMark = Fields

export interface TextPart {
  readonly type: 'text'
  readonly text: string
  /** the assistant refused to answer, in these words */
  readonly refusal?: true | undefined
  readonly cache?: CacheMark | undefined
  readonly rest?: Fields | undefined
}

export interface MediaPart {
  readonly type: 'media'
  readonly kind: 'image' | 'audio' | 'file'
  readonly source: MediaSource
  /** of a file, with its ending */
  readonly name?: string | undefined
  /** how closely an image is looked at: `low`, `high`, `auto` */
  readonly detail?: string | undefined
  readonly cache?: CacheMark | undefined
  readonly rest?: Fields | undefined
}

export type MediaSource =
  /** `mediaType` in lower case, without parameters; `data` in base64 */
  | { readonly at: 'inline'; readonly mediaType: string; readonly data: string }
  | { readonly at: 'url'; readonly url: string }
  /** stored at the provider */
  | { readonly at: 'stored'; readonly id: string }

/** What a model thought before it answered. Providers take it back only with its signature. */
export interface ThinkingPart {
  readonly type: 'thinking'
  readonly text: string
  readonly signature?: string | undefined
  /** encrypted by the provider: `text` is empty */
  readonly redacted?: string | undefined
}

export interface CallPart {
  readonly type: 'call'
  readonly id: string
  readonly name: string
  /** JSON text, as the model wrote it */
  readonly arguments: string
  /** of a tool that takes free text: `arguments` is that text, not JSON */
  readonly custom?: true | undefined
  readonly cache?: CacheMark | undefined
  readonly rest?: Fields | undefined
}

export interface ResultPart {
  readonly type: 'result'
  readonly callId: string
  readonly parts: readonly Part[]
  readonly failed?: boolean | undefined
  readonly cache?: CacheMark | undefined
  readonly rest?: Fields | undefined
}

/** A part that only one API knows: written back by the same API, refused by name by the others. */
export interface OpaquePart {
  readonly type: 'opaque'
  readonly from: ApiName
  readonly value: Fields
}

export interface Tool {
  readonly name: string
  readonly description?: string | undefined
  /** JSON Schema of the arguments; absent if the tool takes none or the client did not say */
  readonly schema?: unknown
  readonly strict?: boolean | undefined
  readonly cache?: CacheMark | undefined
  /** a tool that only one API knows, such as the provider's own search; then only `name` is set beside it */
  readonly opaque?: { readonly from: ApiName; readonly value: Fields } | undefined
  readonly rest?: Fields | undefined
}

export type ToolChoice =
  /** `allowed`: the names of the tools that may be called, if not all */
  | {
      readonly mode: 'auto' | 'none' | 'required'
      readonly allowed?: readonly string[] | undefined
    }
  | { readonly mode: 'tool'; readonly name: string }

export type OutputFormat =
  | { readonly type: 'text' }
  /** any JSON object */
  | { readonly type: 'json' }
  | {
      readonly type: 'schema'
      readonly schema: unknown
      readonly name?: string | undefined
      readonly description?: string | undefined
      readonly strict?: boolean | undefined
    }

export interface Reasoning {
  /** `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max` */
  readonly effort?: string | undefined
  /** Anthropic's own setting, as it came: overrides `effort` */
  readonly thinking?: Fields | undefined
}

/** A whole answer. */
export interface Reply {
  readonly id: string
  readonly model: string
  /** text, thinking, calls and opaque parts, in order */
  readonly parts: readonly Part[]
  readonly stop: StopReason
  /** the stop sequence that ended it */
  readonly stopSequence?: string | undefined
  readonly usage?: Usage | undefined
}

export type StopReason = 'end' | 'length' | 'calls' | 'refused'

/** One step of a streamed answer. */
export type ReplyEvent =
  | { readonly type: 'start'; readonly id: string; readonly model: string }
  | { readonly type: 'text'; readonly text: string; readonly refusal?: true | undefined }
  /** thinking as it comes; the whole part follows in `thought` */
  | { readonly type: 'thinking'; readonly text: string }
  | { readonly type: 'thought'; readonly part: ThinkingPart }
  /** `index` counts the calls of this answer from 0 */
  | {
      readonly type: 'call'
      readonly index: number
      readonly id: string
      readonly name: string
      readonly custom?: true | undefined
      readonly rest?: Fields | undefined
    }
  /** `rest`: what became known of the call only now */
  | {
      readonly type: 'arguments'
      readonly index: number
      readonly text: string
      readonly rest?: Fields | undefined
    }
  | { readonly type: 'opaque'; readonly part: OpaquePart }
  | {
      readonly type: 'stop'
      readonly stop: StopReason
      readonly stopSequence?: string | undefined
    }
  /** all tokens of the answer, after `stop` */
  | { readonly type: 'usage'; readonly usage: Usage }

/** Tokens that were billed, as the upstream counted them. */
export interface Usage {
  /** all tokens of the prompt, cached or not */
  readonly inputTokens: number
  readonly outputTokens: number
  /** prompt tokens read from the provider's cache, if reported */
  readonly cachedInputTokens?: number
  /** prompt tokens written to it */
  readonly cacheWriteTokens?: number
  /** answer tokens that were hidden reasoning, if reported; counted in `outputTokens` */
  readonly reasoningTokens?: number
  /** the answer was not complete when this was counted */
  readonly partial?: true
}

/** The request needs something that the API it would be written for does not have; the message names it. */
export class UntranslatableRequest extends Error {
  override readonly name = 'UntranslatableRequest'
  /** the field of the client's body, if it is one */
  readonly param: string | undefined

  constructor(message: string, param?: string) {
    super(message)
    this.param = param
  }
}

/** Takes what cannot be said in another API; the usual one throws it. */
export type Refused = (fault: UntranslatableRequest) => void

export const throwRefused: Refused = (fault) => {
  throw fault
}

/** Called with each thing that was left out or changed by a stated rule, for the client to be told. */
export type Adjusted = (what: string) => void

/** The text of parts that are text, joined. */
export const textOf = (parts: readonly Part[], between = ''): string =>
  parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join(between)

/** The objects of a list; none if it is absent. @throws UntranslatableRequest if one is none */
export function listOf(value: unknown, where: string): readonly Fields[] {
  if (!Array.isArray(value)) return []
  const wrong = value.findIndex((each) => typeof each !== 'object' || each === null)
  if (wrong < 0) return value as Fields[]
  const got = value[wrong] === null ? 'null' : typeof value[wrong]
  const fault = `${where}: expected a list of objects, got ${got} at ${wrong}`
  throw new UntranslatableRequest(fault, where)
}

/** A turn's role, one that the client's API has. @throws UntranslatableRequest if it is another, as none is taken for a user's */
export function roleOf<Known extends Role>(
  value: unknown,
  known: readonly Known[],
  where: string,
): Known {
  const role = known.find((each) => each === value)
  if (role) return role
  const fault = `${where}.role: expected one of ${known.join(', ')}, got ${String(value)}`
  throw new UntranslatableRequest(fault, `${where}.role`)
}

/** The fields of an object that are not among these names; undefined if there are none. */
export function otherFields(object: Fields, known: ReadonlySet<string>): Fields | undefined {
  let rest: Record<string, unknown> | undefined
  for (const name in object) {
    if (known.has(name) || object[name] === undefined) continue
    rest ??= {}
    rest[name] = object[name]
  }
  return rest
}
