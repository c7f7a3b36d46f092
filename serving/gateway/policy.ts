import type { GatewayRequest, Plan, RefusePlan, Target } from './plan.ts'
import type { Answer, SendOptions } from './strategy.ts'

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
