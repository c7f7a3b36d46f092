import type { BodyText } from '../../core/json/large.ts'
import type { Decision } from '../../models/decision/decision.ts'
import type { Reservation } from '../budgets/reservations.ts'
import type { ClientBody } from '../conversation/client-api.ts'
import type { KeyHolder } from '../router/keys.ts'
import type { Cancellation } from '../upstreams/cancellation.ts'
import type {
  ChatBody,
  Endpoint,
  PassedBody,
  ServedEndpoint,
  UpstreamAnswer,
  Usage,
} from '../upstreams/upstream.ts'
import type { StoredAnswer, StoredIds } from './stored-ids.ts'

/** One chat request, as policies and strategies see it. */
export interface GatewayRequest {
  /** its id in headers and logs; a decision of the learned router has a separate id */
  readonly id: string
  /** as received, without `weir`: `model` is what the client asked for */
  readonly body: ChatBody
  /** the request as its client wrote it, if that was not a chat body: `body` was read from it */
  readonly client?: ClientBody | undefined
  /** who keeps what the request refers to, an earlier response that this key was given, and its session's key */
  readonly pinned?: Omit<StoredAnswer, 'id'> | undefined
  /**
   * for an endpoint other than chat: the body that is sent upstream; `body.messages` then only holds its
   * texts
   */
  readonly passed?: PassedBody
  /** it goes to the default upstream, which is none of the models: its model's name, if any, is not ours */
  readonly unlisted?: boolean
  /** the JSON that `body` was parsed from, if nothing else was in it: it can then be passed on unchanged */
  readonly text?: BodyText | undefined
  /** names who keeps the answer in its id, where a router chose */
  readonly storedIds?: StoredIds | undefined
  /** whoever sends the answer takes a `LargeAnswer`, and not only whole ones and streams */
  readonly takesBytes?: boolean
  readonly caller: KeyHolder
  /** lower-case names; only for policies, never passed on */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly hints: RequestHints
  /** milliseconds since 1970 */
  readonly time: number
}

/** The client's routing options: the body's `weir` object, which is never sent upstream. */
export interface RequestHints {
  readonly threshold?: number
  readonly session_id?: string
  readonly previous_model?: string
  /** allow-list of models */
  readonly models?: readonly string[]
  /** for the whole request, from arrival to the last byte of a whole answer or the first of a stream */
  readonly deadline_ms?: number
  /** longest wait for a rate limit to pass; the configured one if absent */
  readonly rate_limit_wait_ms?: number
  /** tell the cost of a stream in its last event, with the token counts */
  readonly include_cost?: boolean
  /** upstreams whose known p95 exceeds it are left out, while any other is left */
  readonly max_latency_ms?: number
  /** models whose first token usually comes later are closed, while any other is open; in milliseconds */
  readonly max_ttft_ms?: number
  /** models whose answers usually take longer are closed, while any other is open; in milliseconds */
  readonly max_total_ms?: number
  /** tags, user tier and so on, for rules */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** list what each step of the policy decided, in a header */
  readonly explain?: boolean
}

/** One model to ask, and how. */
export interface Target {
  /** a name of `gateway.models`: the gateway balances over its upstreams */
  readonly model: string
  /** added before the messages, as a separate system message */
  readonly system?: string
  /** merged over the body: temperature, max_tokens and so on; never `model`, `messages`, `stream` */
  readonly parameters?: Readonly<Record<string, unknown>>
  /** win rate or other score it was chosen by, for headers and logs */
  readonly score?: number
}

/**
 * How targets are asked. `single`: the first, then the next if it fails. Others are registered by their kind
 * (`Strategies`); their `settings` were checked against their own schema when the policy file was read.
 */
export interface StrategyPlan {
  readonly kind: string
  readonly settings?: unknown
  /**
   * models that hard limits allow for this request, for strategies that ask models beside the targets; all if
   * absent
   */
  readonly open?: readonly string[]
}

/**
 * The steps of a policy, in the order they are asked. The one list of their names: the pipeline, the policy
 * file's checks, the OpenAPI document and the replay of logs derive from it.
 */
export const STEP_NAMES = [
  'hard_limit',
  'guardrail',
  'model_named',
  'rule',
  'semantic',
  'cache',
  'decide_by_model',
  'sessions',
  'sticky',
  'learned',
  'default',
  'fallback',
] as const
export type StepName = (typeof STEP_NAMES)[number]

/** Used in a plan, a log line and a metric if planning failed before any step decided. */
export const NO_STEP = 'none'

/** Which step decided and why. Both label metrics, so they come from short closed lists. */
export interface Deciding {
  /** one of `STEP_NAMES`, the name of a step registered by an extension, or `NO_STEP` */
  readonly step: string
  /** for `cache`: the step that made the cached decision */
  readonly reason: string
  /** the name of the rule or route */
  readonly name?: string
}

/** The policy file that a plan comes from. */
export interface PolicyName {
  readonly name: string
  /** SHA-256 of its text, the first 12 hex digits */
  readonly hash: string
}

/** The result of one step of a policy for a request. */
export interface StepVerdict {
  readonly step: string
  /** the step had a result, though hard limits may have ruled out the model it asked for */
  readonly matched: boolean
  /** the name of the rule or route */
  readonly name?: string
  readonly reason?: string
}

/** The policy's decision for a request that is to be answered. */
export interface ServePlan {
  readonly kind: 'serve'
  /** never empty; tried in this order */
  readonly targets: readonly Target[]
  readonly strategy: StrategyPlan
  readonly deciding: Deciding
  /** the learned router's, if it took part: win rate and threshold are sent in headers */
  readonly decision?: Decision
  /**
   * allows fallback to targets of lower quality than the first; otherwise only equal or better ones are tried
   */
  readonly allowDown?: boolean
  /** also asks the next target when the first has sent nothing for this long; the first answer wins */
  readonly hedgeAfterMs?: number
  readonly deadlineMs?: number
  readonly maxLatencyMs?: number
  /** probability that this request was given `targets[0]` */
  readonly propensity: number
  /** for logs and audit, such as the state of a budget */
  readonly notes?: Readonly<Record<string, string | number>>
  readonly policy?: PolicyName
  /** the result of each step, in order, up to the one that decided */
  readonly steps?: readonly StepVerdict[]
  /** for each model that a budget closed to the request: the budget's name */
  readonly overBudget?: readonly string[]
}

/** The policy's decision for a request that no model is to answer. */
export interface RefusePlan {
  readonly kind: 'refuse'
  readonly message: string
  /** `error` is an HTTP error with `status`; `answer` is a chat answer whose text is the message */
  readonly as: 'error' | 'answer'
  /** default 403; 402 for a spent budget, 429 for a rate limit */
  readonly status?: 400 | 402 | 403 | 413 | 429
  readonly retryAfter?: number
  readonly deciding: Deciding
  readonly notes?: Readonly<Record<string, string | number>>
  readonly policy?: PolicyName
  readonly steps?: readonly StepVerdict[]
  /** for each model that a budget closed to the request: the budget's name */
  readonly overBudget?: readonly string[]
}

export type Plan = ServePlan | RefusePlan

/** An answer and the target that gave it. */
export interface Answer {
  readonly target: Target
  /** the upstream that answered */
  readonly upstream: string
  readonly answer: UpstreamAnswer
}

export interface SendOptions {
  /**
   * replaces the request's body: a judge's question, `stream: false` for a check; the target's parameters are
   * merged over it
   */
  readonly body?: PassedBody
  /** aborts only this call, in addition to the request's signal */
  readonly signal?: AbortSignal
  /** the client's JSON with the same changes as `body`, if it needs no other: numbers keep their digits */
  readonly text?: BodyText | undefined
  /** the answer goes to the client as it is, so that a large one need not be held: see `takesBytes` */
  readonly passes?: boolean
  /** time limit in milliseconds, if shorter than the deadline; the upstream counts as failed after it */
  readonly withinMs?: number
}

/** What a strategy works with. The gateway counts tokens and dollars of every `send`. */
export interface StrategyCall {
  readonly request: GatewayRequest
  readonly plan: ServePlan
  /** aborted when the client has disconnected or the deadline has passed */
  readonly signal: AbortSignal
  readonly trail: Trail
  /** milliseconds left of the request's deadline */
  remainingMs(): number
  /**
   * Asks one target: balanced over its upstreams, retried within the retry budget, respecting breakers.
   *
   * @throws UpstreamError of the last attempt, WeirError `cancelled` or `gateway_deadline`
   */
  send(target: Target, options?: SendOptions): Promise<Answer>
  /** Asks them in order until one answers: failover, which skips lower quality unless the plan allows it. */
  sendFirst(targets: readonly Target[], options?: SendOptions): Promise<Answer>
}

/** A way of asking targets. `single` is built into the gateway; others are registered by their kind. */
export interface Strategy {
  readonly kind: string
  /** A strategy that discards an answer that is a stream must `cancel` it. */
  run(call: StrategyCall): Promise<Answer>
}

/** What a policy may use while it plans. */
export interface Planning {
  /** aborted when the client has disconnected or the deadline has passed */
  readonly signal: AbortSignal
  /**
   * Asks a model a question of the policy (which route a question is for); counted in the request's attempts
   * and dollars. `body` is sent instead of the request's.
   *
   * @throws UpstreamError, WeirError `cancelled` or `gateway_deadline`
   */
  send(target: Target, options: SendOptions & Required<Pick<SendOptions, 'body'>>): Promise<Answer>
}

/** Decides how a request is handled. If it throws a WeirError, the request is refused with that error. */
export interface Policy {
  plan(request: GatewayRequest, planning: Planning): Promise<Plan>
  /**
   * Whether a body of another endpoint may go to the model it names, which is not routed: undefined if it
   * may. Its text is in `messages`.
   */
  admits?(request: GatewayRequest, planning: Planning): Promise<RefusePlan | undefined>
}

/** The result of an answer in one check of a strategy. */
export interface CheckScore {
  /** the name of the check, or its kind */
  readonly check: string
  /** the model that gave the answer */
  readonly model: string
  /** in [0, 1], higher is better; null if there is no score */
  readonly score: number | null
  /** lowest score that passes; absent if the check only passes or fails */
  readonly threshold?: number
  readonly passed: boolean
}

/** What a strategy reports about its work: for the answer's headers, for logs and for calibration. */
export class Trail {
  /** a short summary; names and text values are plain ASCII without `;` and `=` */
  readonly notes = new Map<string, string | number>()
  readonly checks: CheckScore[] = []
}

/** One question to one upstream, with any outcome. */
export interface Attempt {
  readonly model: string
  readonly upstream: string
  readonly milliseconds: number
  /** the failure's kind, `cancelled` if it was given up, else `answered` */
  readonly outcome: string
  /** as the upstream counted them, else undefined: an attempt that failed before it answered is not billed */
  readonly usage: Usage | undefined
  /** US dollars; undefined if price or usage is unknown */
  readonly costUsd: number | undefined
}

/** A request that has ended: its last byte was sent, or it was given up. Reported once per request. */
export interface Served {
  readonly endpoint: ServedEndpoint
  readonly request: GatewayRequest
  readonly plan: Plan
  /** the model that answered; undefined where none did */
  readonly model: string | undefined
  readonly upstream: string | undefined
  readonly attempts: readonly Attempt[]
  /** the strategy's results, per check */
  readonly trail: Trail
  /** of all attempts together */
  readonly costUsd: number | undefined
  /** cost of the most expensive model of the router's pair for the same tokens, less `costUsd` */
  readonly savedUsd: number | undefined
  readonly milliseconds: number
  /** until the first byte of the answer */
  readonly firstByteMs: number | undefined
  /** HTTP status, with the error's code if it failed; a stream that broke has 200 and a code */
  readonly status: number
  readonly code: string | undefined
}

/** Observes served requests: budgets, logs, metrics. Called once per request, returns at once, never throws. */
export type ServedObserver = (served: Served) => void

/** What a budget looks at. */
export interface Admission {
  readonly endpoint: ServedEndpoint
  readonly request: GatewayRequest
  /** undefined while the policy still plans */
  readonly plan: ServePlan | undefined
  readonly target: Target
  readonly body: PassedBody
  /** the client's own JSON of `body`, where there is one */
  readonly text?: BodyText | undefined
}

/** One `send` of one request. */
export interface Dispatch extends Admission {
  readonly endpoint: Endpoint
  /** the client's own body may be sent to an upstream of its API: nothing is to be read of the answer */
  readonly native: boolean
  readonly headers: Readonly<Record<string, string>>
  readonly cancellation: Cancellation
  /** records the outcome of each attempt */
  readonly costs: { add(attempt: Omit<Attempt, 'costUsd'>): Attempt }
  readonly remainingMs: () => number
  readonly maxLatencyMs: number | undefined
  /** a large answer may come as a `LargeAnswer` */
  readonly passes?: boolean | undefined
  /** another target can be tried after this one, so some of the time is kept for it */
  readonly moreToTry: boolean
}

/**
 * Called before every attempt; resolves to the permission to make it, or throws to refuse it.
 * `model_over_budget` lets other targets be tried. Undefined if no budget counts it.
 */
export type Admit = (
  dispatch: Admission,
) => Reservation | undefined | Promise<Reservation | undefined>
