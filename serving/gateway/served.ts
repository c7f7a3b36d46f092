import type { Endpoint, Usage } from '../upstreams/upstream.ts'
import type { GatewayRequest, Plan } from './plan.ts'
import type { Trail } from './trail.ts'

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
