import type { Readable } from 'node:stream'
import type { BodyText } from '../../core/json/large.ts'
import type { ClientApi } from '../conversation/client-api.ts'
import type { Adjusted, Usage } from '../conversation/form.ts'
import type { Cancellation } from './cancellation.ts'

export type { Usage } from '../conversation/form.ts'

/** The body of a chat completion, as the client sent it: unknown fields are passed on unchanged. */
export interface ChatBody {
  readonly model: string
  readonly messages: readonly ChatTurn[]
  readonly stream?: boolean
  readonly [field: string]: unknown
}

/** One message of it; `content` is absent if an assistant message only called tools. */
export interface ChatTurn {
  readonly role: string
  readonly content?: string | null | readonly ContentPart[]
  readonly [field: string]: unknown
}

export interface ContentPart {
  readonly type: string
  readonly text?: string | null
  readonly [field: string]: unknown
}

/** The endpoints of models; `embeddings` alone is not routed. */
export type Endpoint = 'chat' | ClientApi | 'embeddings'

/**
 * The first parts of the other paths, which are forwarded as they are. A closed list: an API that manages the
 * account (`organization`, `admin`) must not be reached with the gateway's key.
 */
export const FORWARDED = [
  'completions',
  'moderations',
  'files',
  'uploads',
  'batches',
  'audio',
  'images',
  'videos',
  'conversations',
  'vector_stores',
  'fine_tuning',
  'rerank',
] as const
/** Where a request went, for budgets, logs and metrics. */
export type ServedEndpoint = Endpoint | (typeof FORWARDED)[number]

export interface UpstreamCall {
  readonly endpoint: Endpoint
  /** `model` is already the upstream's name for it; overrides are merged in */
  readonly body: ChatBody | PassedBody
  /** of a body of another API: the chat body that it was read as */
  readonly chat?: ChatBody | undefined
  /** `body` was made from a body of another API */
  readonly translated?: boolean
  /** the client's JSON of `body`, if only `model` differs */
  readonly text?: BodyText | undefined
  /** the client headers that the allow-list lets through */
  readonly headers: Readonly<Record<string, string>>
  /** milliseconds left; the upstream's timeouts are never longer */
  readonly remainingMs: number
  /** the router chose the model, not the client: wishes that the model does not take may be left out */
  readonly routed?: boolean
  /** called with what was left out or changed so that the upstream takes the request; set by who wants to know */
  adjusted?: Adjusted | undefined
  /** keep the event with the token counts for `usageEvent`, even if the client asked for it */
  readonly holdsUsage?: boolean
  /** the client gets a whole answer as it is: one that is large may come as a `LargeAnswer` */
  readonly passes?: boolean | undefined
  /** what the upstream reports about the attempt while it is under way */
  readonly progress?: AttemptProgress
}

export interface AttemptProgress {
  /** false while nothing has left this machine, so that nothing can be billed; undefined if unknown */
  sent?: boolean | undefined
}

/** A body of an endpoint other than chat. */
export interface PassedBody {
  readonly model: string
  readonly stream?: boolean
  readonly [field: string]: unknown
}

/** A whole answer in OpenAI's shape. */
export interface CompleteAnswer {
  readonly kind: 'complete'
  readonly body: Readonly<Record<string, unknown>>
  /** `body` as the upstream wrote it, if it needs no translation: sent on unchanged */
  readonly text: string | undefined
  readonly usage: Usage | undefined
  /** headers of the upstream that the client gets: its id of the request, its rate limits */
  readonly headers?: Readonly<Record<string, string>>
  /** `body` is in the client's own API, not in OpenAI's chat shape */
  readonly native?: boolean | undefined
}

/**
 * A stream in OpenAI's shape, open and past its first event: `complete` throws if it breaks before that. The
 * caller must read `chunks` to the end or call `cancel`.
 */
export interface StreamAnswer {
  readonly kind: 'stream'
  /** whole server-sent events, `data: ...\n\n`, without the last `[DONE]`; throws UpstreamError if it breaks */
  readonly chunks: AsyncIterable<string>
  /** known once `chunks` has ended, if the upstream reported it */
  readonly usage: () => Usage | undefined
  /**
   * once `chunks` has ended: the JSON of the chunk with the token counts that was kept from a client that did
   * not ask for it
   */
  readonly usageEvent?: (() => string | undefined) | undefined
  /** headers of the upstream that the client gets: its id of the request, its rate limits */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** returns the connection to the pool or closes it; safe to call at any time, any number of times */
  readonly cancel: () => void
  /** made from a whole answer, whose attempt has ended and was counted */
  readonly fromWhole?: true
  /** `chunks` are events of the client's own API, not of OpenAI's chat API */
  readonly native?: boolean | undefined
}

/**
 * A whole answer in OpenAI's shape that is too large to be held: its bytes, as the upstream sends them, from the
 * first. Its beginning was no error. The caller must read `chunks` to the end or call `cancel`.
 */
export interface LargeAnswer {
  readonly kind: 'large'
  /** JSON; throws UpstreamError if it breaks or turns out to be no answer */
  readonly chunks: AsyncIterable<Buffer>
  /** known once `chunks` has ended, if the upstream reported it */
  readonly usage: () => Usage | undefined
  /** headers of the upstream that the client gets: its id of the request, its rate limits */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** closes the connection; safe to call at any time, any number of times */
  readonly cancel: () => void
  /** in the client's own API */
  readonly native?: boolean | undefined
}

export type UpstreamAnswer = CompleteAnswer | StreamAnswer | LargeAnswer

/** A request that an upstream gets as the client wrote it. */
export interface ForwardedCall {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'DELETE'
  /** below the base URL, encoded: `/files/f-1/content` */
  readonly path: string
  /** the client's parameters, encoded, without `?` */
  readonly query: string
  /** beside the upstream's own: `content-type`, `accept` and those that the allow-list lets through */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Buffer | Readable | undefined
  /** milliseconds left until the head of the answer */
  readonly remainingMs: number
  readonly progress?: AttemptProgress
}

/** An answer as the upstream wrote it. The caller must read `body` to its end or destroy it. */
export interface ForwardedAnswer {
  readonly status: number
  /** those that the client gets */
  readonly headers: Readonly<Record<string, string>>
  /** bytes, still compressed if the upstream compressed them; fails with an UpstreamError */
  readonly body: Readable
}

/** One server that answers for models. Tests use fakes. */
export interface Upstream {
  readonly name: string
  /** whether it takes bodies of this API as they are; others are translated to chat completions */
  speaks?(api: ClientApi): boolean
  /**
   * Asks once, without retries. `body.stream` determines the kind of answer.
   *
   * @throws UpstreamError, classified; WeirError `cancelled` if it was given up
   */
  complete(call: UpstreamCall, cancellation: Cancellation): Promise<UpstreamAnswer>
  /**
   * Sends a request of any other endpoint once, and passes on whatever is answered. Absent if this kind of
   * upstream has another API.
   *
   * @throws UpstreamError if there is no answer, or one about our account; WeirError `cancelled`
   */
  forward?(call: ForwardedCall, cancellation: Cancellation): Promise<ForwardedAnswer>
  /** the paths that `forward` takes; any of OpenAI's API if absent */
  readonly forwards?: readonly string[] | undefined
  close(): Promise<void>
}
