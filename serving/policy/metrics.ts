import type { Registry } from 'prom-client'
import { registerLean } from '../../core/lean-metric.ts'
import type { ServedObserver } from '../gateway/contracts.ts'
import { Counts } from '../gateway/metrics.ts'
import type { PolicyStatus } from './live-policies.ts'

/** What each policy decided and the outcomes, for `GET /metrics`. */
export function policyMetrics(
  registry: Registry,
  policies: () => readonly PolicyStatus[],
): ServedObserver {
  const counter = (name: string, help: string): Counts => {
    const counts = new Counts()
    registerLean(registry, name, help, 'counter', counts.samples)
    return counts
  }
  const decisions = counter(
    'weir_policy_decisions_total',
    'Requests ended, by policy, deciding step and error code.',
  )
  const rules = counter(
    'weir_policy_rule_hits_total',
    'Requests decided by a rule or route, by its name.',
  )
  const cost = counter('weir_policy_cost_usd_total', 'US dollars of tokens billed, by policy.')
  const saved = counter(
    'weir_policy_saved_usd_total',
    'US dollars saved against the dearest candidate for the same tokens, by policy.',
  )
  registerLean(
    registry,
    'weir_policy_info',
    '1 for each policy that is served.',
    'gauge',
    () => policies().map(({ name, hash }) => ({ labels: { policy: name, hash }, value: 1 })),
    'max',
  )
  return ({ plan, code = 'ok', costUsd, savedUsd }) => {
    if (!plan.policy) return
    const { step, name } = plan.deciding
    const policy = plan.policy.name
    decisions.add({ policy, step, code })
    // such names come from the file: a short list
    if (name !== undefined) rules.add({ policy, step, name })
    if (costUsd !== undefined) cost.add({ policy }, costUsd)
    // counters never decrease
    if (savedUsd !== undefined && savedUsd > 0) saved.add({ policy, step }, savedUsd)
  }
}
