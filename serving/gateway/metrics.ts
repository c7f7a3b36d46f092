import type { Registry } from 'prom-client'
import { LeanHistogram, registerLean, type Sample } from '../../core/lean-metric.ts'
import type { Breaker } from './breaker.ts'
import type { Served, ServedObserver } from './contracts.ts'

const FIRST_BYTE_BOUNDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

interface Count {
  readonly labels: Readonly<Record<string, string>>
  value: number
}

/** Counts by label values, one key per combination. */
export class Counts {
  private readonly counts = new Map<string, Count>()

  add(labels: Readonly<Record<string, string>>, value = 1): void {
    let key = ''
    for (const name in labels) key += `${labels[name]}\u0000`
    const count = this.counts.get(key)
    if (count) count.value += value
    else this.counts.set(key, { labels, value })
  }

  samples = (): Sample[] => [...this.counts.values()]
}

/** Counts served requests with their tokens and dollars, for `GET /metrics`. */
export function gatewayMetrics(
  registry: Registry,
  breakers: () => ReadonlyMap<string, Breaker>,
): ServedObserver {
  const counter = (name: string, help: string): Counts => {
    const counts = new Counts()
    registerLean(registry, name, help, 'counter', counts.samples)
    return counts
  }
  const requests = counter(
    'weir_gateway_requests_total',
    'Requests ended, by endpoint, model that answered, deciding step and error code.',
  )
  const attempts = counter(
    'weir_gateway_attempts_total',
    'Questions to upstreams, by what came of them.',
  )
  const tokens = counter('weir_gateway_tokens_total', 'Tokens billed, as upstreams counted them.')
  const cost = counter('weir_gateway_cost_usd_total', 'US dollars of tokens billed.')
  const saved = counter(
    'weir_gateway_saved_usd_total',
    'US dollars saved against the dearest candidate for the same tokens.',
  )
  const checks = counter(
    'weir_gateway_checks_total',
    'Answers that a strategy checked, by check and whether they passed.',
  )
  const histograms = new Map<string, LeanHistogram>()
  const name = 'weir_gateway_first_byte_seconds'
  registerLean(registry, name, 'Time to a whole answer or the first token.', 'histogram', () =>
    [...histograms].flatMap(([model, histogram]) => histogram.values(name, { model })),
  )
  registerLean(
    registry,
    'weir_gateway_breaker_open',
    '1 for each upstream whose circuit breaker is open.',
    'gauge',
    () =>
      [...breakers()].map(([upstream, { state }]) => ({
        labels: { upstream },
        value: state === 'open' ? 1 : 0,
      })),
  )

  return (served: Served) => {
    const { endpoint, plan, model = 'none', code = 'ok' } = served
    requests.add({ endpoint, model, step: plan.deciding.step, code })
    for (const { model, upstream, outcome, usage, costUsd } of served.attempts) {
      attempts.add({ model, upstream, outcome })
      if (usage) {
        tokens.add({ model, upstream, kind: 'input' }, usage.inputTokens)
        tokens.add({ model, upstream, kind: 'output' }, usage.outputTokens)
      }
      if (costUsd !== undefined) cost.add({ model, upstream }, costUsd)
    }
    for (const { check, model, passed } of served.trail.checks) {
      checks.add({ check, model, passed: passed ? 'yes' : 'no' })
    }
    // counters never decrease: a cascade that cost more than it saved counts as 0
    if (served.savedUsd !== undefined && served.savedUsd > 0) {
      saved.add({ step: plan.deciding.step }, served.savedUsd)
    }
    if (served.firstByteMs === undefined) return
    let histogram = histograms.get(model)
    if (!histogram) {
      histogram = new LeanHistogram(FIRST_BYTE_BOUNDS)
      histograms.set(model, histogram)
    }
    histogram.observe(served.firstByteMs / 1000)
  }
}
