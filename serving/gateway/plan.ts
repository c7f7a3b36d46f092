import type { Decision } from '../../models/decision/decision.ts'
import type { KeyHolder } from '../router/keys.ts'
import type { ChatBody } from '../upstreams/upstream.ts'

/** One chat request, as policies and strategies see it. */
export interface GatewayRequest {
  /** names it in headers and logs; a decision of the learned router has an id of its own */
  readonly id: string
  /** as it came, without `weir`: `model` is what the client asked for */
  readonly body: ChatBody
  /** the JSON that `body` was read from, where that is all of it: what goes on then goes on to the letter */
  readonly text?: string
  readonly caller: KeyHolder
  /** lower-case names; only for policies, never passed on */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly hints: RequestHints
  /** milliseconds since 1970 */
  readonly time: number
}

/** What the client said of routing: the body's `weir` object, which never goes upstream. */
export interface RequestHints {
  readonly threshold?: number
  readonly session_id?: string
  readonly previous_model?: string
  /** allow-list of models */
  readonly models?: readonly string[]
  /** the whole request, from arrival to the last byte of a whole answer or the first of a stream */
  readonly deadline_ms?: number
  /** upstreams whose p95 is known to be over it are left out, while any is left */
  readonly max_latency_ms?: number
  /** tags, user tier and so on, for rules */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** say in a header what each step of the policy said */
  readonly explain?: boolean
}

/** One model to ask, as what. */
export interface Target {
  /** a name of `gateway.models`: the upstreams behind it are balanced by the gateway */
  readonly model: string
  /** put before the messages, as a system message of its own */
  readonly system?: string
  /** laid over the body: temperature, max_tokens and so on; never `model`, `messages`, `stream` */
  readonly parameters?: Readonly<Record<string, unknown>>
  /** win rate or other score that put it here, for headers and logs */
  readonly score?: number
}

/**
 * How targets are asked. `single`: the first, then the next where it fails. Others are registered by their
 * kind (`Strategies`); `settings` is theirs, checked by their own schema when the policy file was read.
 */
export interface StrategyPlan {
  readonly kind: string
  readonly settings?: unknown
  /** models that hard limits leave to this request, for those that a strategy asks beside the targets; all, where absent */
  readonly open?: readonly string[]
}

/** Which step decided and why. `step` labels metrics, so both come from short closed lists. */
export interface Deciding {
  /** such as `model_named`, `hard_limit`, `rule`, `semantic`, `sticky`, `cache`, `learned`, `fallback` */
  readonly step: string
  readonly reason: string
  /** the rule's or route's own name */
  readonly name?: string
}

/** The policy file that a plan comes from. */
export interface PolicyName {
  readonly name: string
  /** SHA-256 of its text, the first 12 hex digits */
  readonly hash: string
}

/** What one step of a policy said of a request. */
export interface StepVerdict {
  readonly step: string
  /** it had something to say, though hard limits may have closed what it asked for */
  readonly matched: boolean
  /** the rule's or route's own name */
  readonly name?: string
  readonly reason?: string
}

/** What the policy says of a request that is to be answered. */
export interface ServePlan {
  readonly kind: 'serve'
  /** never empty; in the order they are tried */
  readonly targets: readonly Target[]
  readonly strategy: StrategyPlan
  readonly deciding: Deciding
  /** the learned router's, where it had a part in it: win rate and threshold go out in headers */
  readonly decision?: Decision
  /** falling back to a target of lower quality than the first; else only its equals and betters are tried */
  readonly allowDown?: boolean
  /** asks the next target as well where the first has been silent for so long; the first answer wins */
  readonly hedgeAfterMs?: number
  readonly deadlineMs?: number
  readonly maxLatencyMs?: number
  /** probability that this request was given `targets[0]` */
  readonly propensity: number
  /** for logs and audit, such as the state of a budget */
  readonly notes?: Readonly<Record<string, string | number>>
  readonly policy?: PolicyName
  /** each step's word, in their order, up to the one that decided */
  readonly steps?: readonly StepVerdict[]
}

/** What the policy says of a request that is not to be answered by any model. */
export interface RefusePlan {
  readonly kind: 'refuse'
  readonly message: string
  /** `error` is an HTTP error with `status`; `answer` is a chat answer that says the message */
  readonly as: 'error' | 'answer'
  /** 403 unless told; 402 is a budget that is spent, 429 a rate */
  readonly status?: 400 | 402 | 403 | 413 | 429
  readonly retryAfter?: number
  readonly deciding: Deciding
  readonly notes?: Readonly<Record<string, string | number>>
  readonly policy?: PolicyName
  readonly steps?: readonly StepVerdict[]
}

export type Plan = ServePlan | RefusePlan
