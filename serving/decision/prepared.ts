import type { RouteRequest } from '../../models/decision.ts'
import type { LiveRouter } from '../fleet/live-router.ts'
import type { Target } from '../fleet/snapshot.ts'

/** A request that has been checked, with the version that answers it and the others of its split. */
export interface Prepared {
  /** as the caller asked it; `request` is that with the threshold of the router's name */
  readonly asked: RouteRequest
  readonly request: RouteRequest
  readonly id: string
  readonly text: string
  readonly hash: string
  readonly target: Target
  readonly live: LiveRouter
  readonly started: number
}
