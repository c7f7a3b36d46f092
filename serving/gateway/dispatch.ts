import type { Reservation } from '../budgets/reservations.ts'
import type { Cancellation } from '../upstreams/cancellation.ts'
import type { Endpoint, PassedBody } from '../upstreams/upstream.ts'
import type { GatewayRequest, ServePlan, Target } from './contracts.ts'
import type { Ledger } from './ledger.ts'

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
  readonly ledger: Ledger
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
