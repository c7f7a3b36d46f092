import { WeirError } from '../../core/errors.ts'
import type { Price } from '../../models/prices.ts'
import type { Plan } from '../../serving/gateway/contracts.ts'
import type { CheckedPolicy } from '../../serving/policy/check.ts'
import { createPolicy } from '../../serving/policy/pipeline.ts'
import type { TextReaders } from '../../serving/policy/text-readers.ts'
import { dollarsOf } from './budgets.ts'
import { assertLogHolds } from './needs.ts'
import { type KnownScore, loggedRouter } from './router.ts'
import { type LoggedRequest, type LoggedRequests, toRequest } from './rows.ts'

export interface PolicyReplayOptions {
  readonly path: string
  /** by request id */
  readonly scores: ReadonlyMap<string, KnownScore>
  /** what the policy reads texts with */
  readonly readers?: TextReaders['readers']
  readonly prices?: ReadonlyMap<string, Price>
  /** told of each request, in the order of the log; `to`: the model that the policy asks first, if any */
  readonly onPlanned?: (logged: LoggedRequest, to: string | undefined) => void
  readonly signal?: AbortSignal
  readonly onProgress?: (done: number, total: number) => void
}

/** What a policy would have done with the requests of a log. */
export interface PolicyReplay {
  readonly requests: number
  /** depend on a win rate or a model's answer that the log does not have: counted as unchanged */
  readonly unknown: number
  /** asked for a name that the policy does not know: counted as unchanged */
  readonly unnamed: number
  readonly changed: number
  /** number of requests by `from`, then `to`. `(refused)` stands for no model */
  readonly matrix: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** by deciding step: requests before and after */
  readonly steps: Readonly<Record<string, { readonly before: number; readonly after: number }>>
  readonly dollars: {
    /** requests for which both are known; the sums are over those */
    readonly priced: number
    readonly before: number
    readonly after: number
    readonly assumptions: readonly string[]
  }
}

const REFUSED = '(refused)'

/**
 * Runs every request of a log through a policy, whose learned step answers from known win rates. Splits keep
 * their logged outcomes, sessions are followed in the order of the log, and budgets and upstreams are
 * ignored.
 *
 * @throws log_needs, log_lacks if the policy reads what the log does not contain
 */
export async function replayPolicy(
  log: LoggedRequests,
  policy: CheckedPolicy,
  options: PolicyReplayOptions,
): Promise<PolicyReplay> {
  assertLogHolds(policy, log, options.path)
  const router = loggedRouter(options.scores, log.requests)
  const live = createPolicy(policy, {
    learned: router,
    priceOf: (model) => options.prices?.get(model),
    ...options.readers,
  })
  const dollars = dollarsOf(log, options.prices ?? new Map())
  const signal = options.signal ?? new AbortController().signal
  const matrix: Record<string, Record<string, number>> = {}
  const steps: Record<string, { before: number; after: number }> = {}
  const strategies = new Set<string>()
  let unknown = 0
  let unnamed = 0
  let changed = 0
  let priced = 0
  let [before, after] = [0, 0]
  const asked = { any: false }
  const send = (): Promise<never> => {
    asked.any = true
    const reason = 'a log is replayed'
    return Promise.reject(new WeirError('upstream_unavailable', { model: '', reason }))
  }

  for (const [i, logged] of log.requests.entries()) {
    if (i % 1000 === 0) {
      options.onProgress?.(i, log.requests.length)
      await new Promise((resolve) => setImmediate(resolve)) // lets Ctrl-C in
    }
    asked.any = false
    router.take(logged)
    const plan = await planOf(logged)
    if (plan === undefined) unnamed++
    const left = plan === undefined || router.unknown || asked.any
    if (left && plan) unknown++
    const from = logged.model ?? REFUSED
    const to = left ? from : plan.kind === 'serve' ? plan.targets[0]!.model : REFUSED
    const step = left ? logged.step : plan.deciding.step
    options.onPlanned?.(logged, to === REFUSED ? undefined : to)
    if (!left && plan.kind === 'serve' && plan.strategy.kind !== 'single') {
      strategies.add(plan.strategy.kind)
    }
    matrix[from] ??= {}
    matrix[from][to] = (matrix[from][to] ?? 0) + 1
    steps[logged.step] ??= { before: 0, after: 0 }
    steps[step] ??= { before: 0, after: 0 }
    steps[logged.step]!.before++
    steps[step]!.after++
    if (from !== to) changed++
    const paid = dollars.paid(logged)
    const then = from === to ? paid : to === REFUSED ? 0 : dollars.from(logged, to)
    if (paid === undefined || then === undefined) continue
    priced++
    before += paid
    after += then
  }
  options.onProgress?.(log.requests.length, log.requests.length)
  const assumptions = [
    ...dollars.assumptions,
    ...[...strategies].map((kind) => `${kind}: its first model alone is counted`),
  ]
  const money = { priced, before, after, assumptions }
  return { requests: log.requests.length, unknown, unnamed, changed, matrix, steps, dollars: money }

  async function planOf(logged: LoggedRequest): Promise<Plan | undefined> {
    try {
      return await live.plan(toRequest(logged), { signal, send })
    } catch (error) {
      if (error instanceof WeirError && error.code === 'model_not_served') return undefined
      throw error
    }
  }
}
