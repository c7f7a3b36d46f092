import type { Decision } from '../../models/decision/decision.ts'
import type { Reservation } from '../budgets/reservations.ts'
import type { KeyHolder } from '../router/keys.ts'
import type { Cancellation } from '../upstreams/cancellation.ts'
import type {
  ChatBody,
  Endpoint,
  PassedBody,
  UpstreamAnswer,
  Usage,
} from '../upstreams/upstream.ts'

/** One chat request, as policies and strategies see it. */
export interface GatewayRequest {
  /** names it in headers and logs; a decision of the learned router has an id of its own */
  readonly id: string
  /** as it came, without `weir`: `model` is what the client asked for */
  readonly body: ChatBody
  /** of an endpoint other than chat: what goes upstream, where `body.messages` only stands for its texts */
  readonly passed?: PassedBody
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
  'sticky',
  'learned',
  'default',
  'fallback',
] as const
export type StepName = (typeof STEP_NAMES)[number]

/** Stands in a plan, a log line and a metric where planning failed before any step decided. */
export const NO_STEP = 'none'

/** Which step decided and why. Both label metrics, so they come from short closed lists. */
export interface Deciding {
  /** one of `STEP_NAMES`, the name of a step that was registered from outside, or `NO_STEP` */
  readonly step: string
  /** of `cache`: the step that decided first */
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
  /** of each model that a budget closed to the request: the budget's name */
  readonly overBudget?: readonly string[]
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
  /** of each model that a budget closed to the request: the budget's name */
  readonly overBudget?: readonly string[]
}

export type Plan = ServePlan | RefusePlan

/** An answer and the target that gave it. */
export interface Answer {
  readonly target: Target
  /** the upstream that answered for it */
  readonly upstream: string
  readonly answer: UpstreamAnswer
}

export interface SendOptions {
  /** instead of the request's body: a judge's question, `stream: false` for a check; the target is laid over it */
  readonly body?: PassedBody
  /** aborts this call alone, beside the request's own signal */
  readonly signal?: AbortSignal
  /** least of this and the deadline is the time it has, in milliseconds: past it, its upstream has failed */
  readonly withinMs?: number
}

/** What a strategy works with. Tokens and dollars of every `send` are counted by the gateway itself. */
export interface StrategyCall {
  readonly request: GatewayRequest
  readonly plan: ServePlan
  /** aborted when the client has gone or the deadline has passed */
  readonly signal: AbortSignal
  readonly trail: Trail
  /** milliseconds left of the request's deadline */
  remainingMs(): number
  /**
   * Asks one target: balanced over its upstreams, retried within the budget, breakers obeyed.
   *
   * @throws UpstreamError of the last attempt, WeirError `cancelled` or `gateway_deadline`
   */
  send(target: Target, options?: SendOptions): Promise<Answer>
  /** Asks them in order until one answers: failover, which skips what is of lower quality unless the plan allows it. */
  sendFirst(targets: readonly Target[], options?: SendOptions): Promise<Answer>
}

/** A way of asking targets. `single` is the gateway's own; others are registered by their kind. */
export interface Strategy {
  readonly kind: string
  /** A strategy that drops an answer that is a stream must `cancel` it. */
  run(call: StrategyCall): Promise<Answer>
}

/** What a policy may use while it plans. */
export interface Planning {
  /** aborted when the client has gone or the deadline has passed */
  readonly signal: AbortSignal
  /**
   * Asks a model something of the policy's own (which route a question is for); counted among the
   * request's attempts and dollars. `body` is asked instead of the request's.
   *
   * @throws UpstreamError, WeirError `cancelled` or `gateway_deadline`
   */
  send(target: Target, options: SendOptions & Required<Pick<SendOptions, 'body'>>): Promise<Answer>
}

/** Decides what is done with a request. One that throws WeirError refuses with that error. */
export interface Policy {
  plan(request: GatewayRequest, planning: Planning): Promise<Plan>
  /**
   * Whether a body of another endpoint may go to the model it names, which nothing routes: undefined where it may.
   * Its text is in `messages`.
   */
  admits?(request: GatewayRequest, planning: Planning): Promise<RefusePlan | undefined>
}

/** How an answer did in one check of a strategy. */
export interface CheckScore {
  /** the check's own name, or its kind */
  readonly check: string
  /** the model whose answer it was */
  readonly model: string
  /** in [0, 1], higher is better; null where none could be taken */
  readonly score: number | null
  /** least score that passes; absent where the check only says yes or no */
  readonly threshold?: number
  readonly passed: boolean
}

/** What a strategy leaves behind of what it did: for the answer's headers, for logs and for calibration. */
export class Trail {
  /** a few short words of what was done; names and text values are plain ASCII without `;` and `=` */
  readonly notes = new Map<string, string | number>()
  readonly checks: CheckScore[] = []
}

/** One question to one upstream, for whatever came of it. */
export interface Attempt {
  readonly model: string
  readonly upstream: string
  readonly milliseconds: number
  /** the failure's kind, `cancelled` where it was given up, else `answered` */
  readonly outcome: string
  /** as the upstream counted them, else undefined: nothing is billed for an attempt that failed before it answered */
  readonly usage: Usage | undefined
  /** US dollars; undefined where price or usage is not known */
  readonly costUsd: number | undefined
}

/** A request that has ended, its last byte sent or given up. Told once a request. */
export interface Served {
  readonly endpoint: Endpoint
  readonly request: GatewayRequest
  readonly plan: Plan
  /** the model that answered; undefined where none did */
  readonly model: string | undefined
  readonly upstream: string | undefined
  readonly attempts: readonly Attempt[]
  /** what the strategy did, check by check */
  readonly trail: Trail
  /** of all attempts together */
  readonly costUsd: number | undefined
  /** what the most expensive of the router's pair would have cost for the same tokens, less `costUsd` */
  readonly savedUsd: number | undefined
  readonly milliseconds: number
  /** until the first byte of the answer */
  readonly firstByteMs: number | undefined
  /** HTTP status, and the error's code where it was one; a stream that broke has 200 and a code */
  readonly status: number
  readonly code: string | undefined
}

/** Watches what was served: budgets, logs, metrics. Called once a request, returns at once, never throws. */
export type ServedObserver = (served: Served) => void

/** One `send` of one request. */
export interface Dispatch {
  readonly endpoint: Endpoint
  readonly request: GatewayRequest
  /** undefined while the policy still plans */
  readonly plan: ServePlan | undefined
  readonly target: Target
  readonly body: PassedBody
  /** the client's own JSON of `body`, where there is one */
  readonly text?: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly cancellation: Cancellation
  /** keeps what came of each attempt */
  readonly ledger: { add(attempt: Omit<Attempt, 'costUsd'>): Attempt }
  readonly remainingMs: () => number
  readonly maxLatencyMs: number | undefined
  /** another target can be tried after this one: some of the time is kept for it */
  readonly moreToTry: boolean
}

/**
 * Called before every attempt, with leave to make it as the result; what it throws refuses the attempt.
 * `model_over_budget` lets other targets be tried. Undefined where no budget counts it.
 */
export type Admit = (
  dispatch: Dispatch,
) => Reservation | undefined | Promise<Reservation | undefined>
