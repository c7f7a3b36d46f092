import type { Encoder } from '../../models/encoders/encoder.ts'
import type { Router } from '../../models/router.ts'
import type { AuditWho } from '../audit/audit-log.ts'
import type { ServedObserver } from '../gateway/contracts.ts'
import type { RequestFacts } from '../gateway/error-body.ts'
import type { PolicyHooks } from '../policy/live-policies.ts'
import type { DecisionObserver } from '../router/observer.ts'
import type { PrimaryLine } from '../state/primary-channel.ts'

/** What a server's services are given beside its configuration. */
export interface ServiceOptions {
  /** tests pass one with an encoder of their own */
  readonly load?: (path: string) => Promise<Router>
  readonly now?: () => number
  readonly newId?: () => string
  /** further watchers of decisions: a log line, a span */
  readonly observers?: readonly DecisionObserver[]
  readonly onBug: (error: unknown, request: RequestFacts) => void
  /** told of what an operator should know: encoders that fail, a log that cannot be written */
  readonly onWarning: (message: string, error?: unknown) => void
  /** where keys of upstreams are looked up; the process's own unless told */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** further watchers of what the gateway served */
  readonly servedObservers?: readonly ServedObserver[]
  /** makes the encoder of a policy's semantic routes by its name */
  readonly makeEncoder?: (name: string) => Promise<Encoder>
  /** told of policies as they are loaded, and asked whether they may be */
  readonly policyHooks?: PolicyHooks
  /** who runs the server: what is loaded is then audited beside the decision log */
  readonly who?: AuditWho
  /** of a worker: what its primary keeps for all of them */
  readonly primary?: PrimaryLine
  /** names this process among several that write one log */
  readonly logOwner?: string
}
