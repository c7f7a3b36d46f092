import type { Decision, RouteRequest } from '../../models/decision/decision.ts'
import type { LiveRouter } from './live-router.ts'

/** One decision with everything known about it, for observers: log, metrics, spans. */
export interface DecisionEvent {
  readonly decision: Decision
  readonly request: RouteRequest
  readonly text: string
  /** SHA-256 of the text, in hex */
  readonly hash: string
  readonly live: LiveRouter
  readonly cache: 'hit' | 'miss' | 'off'
  /** duration in seconds, from the parsed request to the decision */
  readonly seconds: number
  /** milliseconds since 1970 */
  readonly time: number
  /** made by a shadow and not used for the answer */
  readonly shadow: boolean
  /** the router's uncorrected win rate, if online updates changed the decision's */
  readonly baseWinRate?: number | undefined
}

/** Observes decisions. Called on the request path: returns at once, never throws. */
export type DecisionObserver = (event: DecisionEvent) => void
