import type { FeedbackStore } from '../../records/feedback/store.ts'
import type { LogWriter } from '../../records/log-writer.ts'
import type { AlarmWatcher } from '../alarms/watcher.ts'
import type { Budgets } from '../budgets/open.ts'
import type { RequestFacts } from '../gateway/error-body.ts'
import type { OpenGateway } from '../gateway/open-gateway.ts'
import type { LivePolicies } from '../policy/live-policies.ts'
import type { Decider } from '../router/decider.ts'
import type { EncoderHealth } from '../router/encoder-health.ts'
import type { Fleet } from '../router/fleet.ts'
import type { KeyHolder, KeyRing } from '../router/keys.ts'
import type { OnlineLearner } from '../router/learner.ts'
import type { LoadGate } from '../state/load-gate.ts'
import type { RateLimiter } from '../state/rate-limit.ts'
import type { Metrics } from './metrics.ts'

/** What the endpoints work with; made in one place (`open-services.ts`), passed to each. */
export interface Services {
  readonly fleet: Fleet
  readonly decider: Decider
  readonly gate: LoadGate
  readonly encoders: EncoderHealth
  readonly rateLimit: RateLimiter
  /** requests a minute of a client whose key says nothing else */
  readonly ratePerMinute: number | undefined
  readonly keys: KeyRing | undefined
  readonly log: LogWriter | undefined
  /** where feedback goes: a store of its own, else the log */
  readonly feedback: FeedbackStore | undefined
  readonly alarms: AlarmWatcher | undefined
  readonly online: OnlineLearner | undefined
  readonly metrics: Metrics | undefined
  /** answers chats; absent where the configuration has no such section */
  readonly gateway: OpenGateway | undefined
  /** what the gateway spends, and what it may */
  readonly budgets: Budgets | undefined
  /** what the gateway does with chats; absent where the learned router alone decides */
  readonly policies: LivePolicies | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
  /** where a failure that is our own fault is told; the client learns only that it happened */
  readonly onBug: (error: unknown, request: RequestFacts) => void
}

declare module 'fastify' {
  interface FastifyRequest {
    /** who asks: set before the body is read */
    caller: KeyHolder
    /** the body as it came */
    bodyText: string
  }
}
