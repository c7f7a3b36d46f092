import type { Cancellation } from './cancellation.ts'

/** The body of a chat completion, as the client sent it: what we do not know is passed on untouched. */
export interface ChatBody {
  readonly model: string
  readonly messages: readonly ChatTurn[]
  readonly stream?: boolean
  readonly [field: string]: unknown
}

/** One message of it; `content` is absent where an assistant only called tools. */
export interface ChatTurn {
  readonly role: string
  readonly content?: string | null | readonly ContentPart[]
  readonly [field: string]: unknown
}

export interface ContentPart {
  readonly type: string
  readonly text?: string
  readonly [field: string]: unknown
}

/** Tokens that were billed, as the upstream counted them. */
export interface Usage {
  /** all of the prompt, cached or not */
  readonly inputTokens: number
  readonly outputTokens: number
  /** of the prompt, what was read from the provider's cache, where it says so */
  readonly cachedInputTokens?: number
  /** of the prompt, what was written to it */
  readonly cacheWriteTokens?: number
  /** the answer was still growing when this was counted */
  readonly partial?: true
}

/** The paths of OpenAI's API that are passed on; `chat` alone is routed. */
export type Endpoint = 'chat' | 'responses' | 'embeddings'

export interface UpstreamCall {
  readonly endpoint: Endpoint
  /** `model` is already the upstream's own name of it; overrides are merged in */
  readonly body: ChatBody | PassedBody
  /** the client's own JSON of `body`, where nothing but `model` is another */
  readonly text?: string | undefined
  /** the client's headers that may go on: an allow-list made them */
  readonly headers: Readonly<Record<string, string>>
  /** milliseconds that are left; timeouts of the upstream never reach past it */
  readonly remainingMs: number
}

/** A body of another endpoint than chat. */
export interface PassedBody {
  readonly model: string
  readonly stream?: boolean
  readonly [field: string]: unknown
}

/** A whole answer in OpenAI's shape. */
export interface CompleteAnswer {
  readonly kind: 'complete'
  readonly body: Readonly<Record<string, unknown>>
  /** `body` as the upstream wrote it, where it needs no translation: sent on as it is */
  readonly text: string | undefined
  readonly usage: Usage | undefined
}

/**
 * A stream in OpenAI's shape, open and past its first event: a break before that was thrown by
 * `complete`. Whoever takes it must read `chunks` to the end or call `cancel`.
 */
export interface StreamAnswer {
  readonly kind: 'stream'
  /** whole server-sent events, `data: ...\n\n`, without the last `[DONE]`; throws UpstreamError where it breaks */
  readonly chunks: AsyncIterable<string>
  /** known once `chunks` has ended, where the upstream told it */
  readonly usage: () => Usage | undefined
  /** gives the connection back or closes it; safe to call at any time, any number of times */
  readonly cancel: () => void
  /** written out from a whole answer, whose attempt has ended and was counted */
  readonly fromWhole?: true
}

export type UpstreamAnswer = CompleteAnswer | StreamAnswer

/** One server that answers for models. Tests pass fakes. */
export interface Upstream {
  readonly name: string
  /**
   * Asks once: no retries here. `body.stream` says which kind of answer comes.
   *
   * @throws UpstreamError, classified; WeirError `cancelled` where it was given up
   */
  complete(call: UpstreamCall, cancellation: Cancellation): Promise<UpstreamAnswer>
  close(): Promise<void>
}
