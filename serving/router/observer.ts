import type { Decision, RouteRequest } from '../../models/decision/decision.ts'
import type { LiveRouter } from './live-router.ts'

/** One decision and all that is known of it, for whoever watches: log, metrics, spans. */
export interface DecisionEvent {
  readonly decision: Decision
  readonly request: RouteRequest
  readonly text: string
  /** SHA-256 of the text, in hex */
  readonly hash: string
  readonly live: LiveRouter
  readonly cache: 'hit' | 'miss' | 'off'
  /** seconds it took, from the parsed request to the decision */
  readonly seconds: number
  /** milliseconds since 1970 */
  readonly time: number
  /** decided beside another router and not answered with */
  readonly shadow: boolean
  /** the router's own win rate, where online updates had a part in the decision's */
  readonly baseWinRate?: number | undefined
}

/** Watches decisions. Called on the request path: returns at once, never throws. */
export type DecisionObserver = (event: DecisionEvent) => void
