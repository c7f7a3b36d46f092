import cluster from 'node:cluster'
import type { Registry } from 'prom-client'
import type { DecisionEvent, DecisionObserver } from './decision/observer.ts'
import type { LiveRouter } from './fleet/live-router.ts'
import type { Snapshot } from './fleet/snapshot.ts'
import { WinRateDrift } from './win-rate-drift.ts'

/** Numbers that live elsewhere and are read when Prometheus asks. */
export interface MetricSources {
  readonly snapshot: () => Snapshot | undefined
  readonly inFlight: () => number
  readonly lagMs: () => number
  readonly log: () => { readonly failing: boolean; readonly dropped: number } | undefined
}

export interface Metrics {
  readonly registry: Registry
  readonly observe: DecisionObserver
  /** a request was refused, by the code it was refused with */
  readonly refused: (code: string) => void
  readonly feedback: () => void
  readonly reload: (result: 'ok' | 'refused') => void
}

/** From 100 microseconds to a second. */
const SECONDS = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1]
const WIN_RATES = Array.from({ length: 19 }, (_, i) => Math.round((i + 1) * 5) / 100)

/** Opens prom-client, this file being its only door. */
export async function createMetrics(sources: MetricSources): Promise<Metrics> {
  const { AggregatorRegistry, Counter, Gauge, Histogram, Registry, collectDefaultMetrics } =
    await import('prom-client')
  const registry = new Registry()
  if (cluster.isWorker) {
    // what the primary asks for: the constructor is what answers it
    new AggregatorRegistry()
    AggregatorRegistry.setRegistries([registry])
  }
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const labelNames = ['router'] as const
  const decisions = new Counter({
    name: 'weir_decisions_total',
    help: 'Decisions made, by router, chosen model and reason; shadows apart.',
    labelNames: ['router', 'model', 'reason', 'shadow'] as const,
    registers,
  })
  const seconds = new Histogram({
    name: 'weir_decision_seconds',
    help: 'Time from the parsed request to its decision.',
    labelNames,
    buckets: SECONDS,
    registers,
  })
  const winRates = new Histogram({
    name: 'weir_win_rate',
    help: 'Win rates of the strong model.',
    labelNames,
    buckets: WIN_RATES,
    registers,
  })
  const fallbacks = new Counter({
    name: 'weir_fallbacks_total',
    help: 'Decisions that the router itself did not make, by why.',
    labelNames: ['router', 'reason'] as const,
    registers,
  })
  const cache = new Counter({
    name: 'weir_cache_total',
    help: 'Look-ups of the score cache, by result.',
    labelNames: ['router', 'result'] as const,
    registers,
  })
  const cost = new Counter({
    name: 'weir_estimated_cost_usd_total',
    help: 'Estimated cost of the chosen models, where the bundle knows prices.',
    labelNames,
    registers,
  })
  const saved = new Counter({
    name: 'weir_estimated_saved_usd_total',
    help: 'Estimated saving against always choosing the strong model.',
    labelNames,
    registers,
  })
  const refused = new Counter({
    name: 'weir_refused_total',
    help: 'Requests refused, by error code.',
    labelNames: ['code'] as const,
    registers,
  })
  const feedback = new Counter({
    name: 'weir_feedback_total',
    help: 'Feedback recorded.',
    registers,
  })
  const reloads = new Counter({
    name: 'weir_reloads_total',
    help: 'Reloads, by whether the new bundles were taken.',
    labelNames: ['result'] as const,
    registers,
  })
  new Gauge({
    name: 'weir_bundle_info',
    help: '1 for each bundle that is served.',
    labelNames: ['router', 'version', 'family', 'encoder'] as const,
    aggregator: 'max',
    registers,
    collect() {
      this.reset()
      for (const [router, live] of sources.snapshot()?.routers ?? []) {
        const { version, family, encoder } = live.router.manifest
        this.set({ router, version, family: family.name, encoder: encoder.id }, 1)
      }
    },
  })
  const drifts = new WeakMap<LiveRouter, WinRateDrift>()
  new Gauge({
    name: 'weir_win_rate_drift_psi',
    help: 'Population stability index of recent win rates against the first thousand of this version; over 0.2 is a shift.',
    labelNames,
    aggregator: 'max',
    registers,
    collect() {
      this.reset()
      for (const [router, live] of sources.snapshot()?.routers ?? []) {
        const psi = drifts.get(live)?.psi()
        if (psi !== undefined) this.set({ router }, psi)
      }
    },
  })
  const gauge = (
    name: string,
    help: string,
    aggregator: 'sum' | 'max',
    read: () => number,
  ): void => {
    new Gauge({
      name,
      help,
      aggregator,
      registers,
      collect() {
        this.set(read())
      },
    })
  }
  gauge('weir_in_flight', 'Requests under way.', 'sum', sources.inFlight)
  gauge('weir_lag_seconds', 'How late the event loop was.', 'max', () => sources.lagMs() / 1000)
  gauge('weir_log_failing', '1 while the decision log cannot be written.', 'max', () =>
    sources.log()?.failing ? 1 : 0,
  )
  gauge('weir_log_dropped', 'Log lines given up.', 'sum', () => sources.log()?.dropped ?? 0)

  // Labels are resolved once a router version, model and reason: that is most of what prom-client costs.
  const bind = (live: LiveRouter) => {
    const router = live.router.manifest.name
    const chosen = new Map<string, { inc(): void }>()
    const drift = new WinRateDrift()
    drifts.set(live, drift)
    return {
      drift,
      seconds: seconds.labels(router),
      winRate: winRates.labels(router),
      cost: cost.labels(router),
      saved: saved.labels(router),
      hit: cache.labels(router, 'hit'),
      miss: cache.labels(router, 'miss'),
      decided({ decision, shadow }: DecisionEvent) {
        const key = `${decision.model}\n${decision.reason}${shadow ? '\n' : ''}`
        let child = chosen.get(key)
        if (!child) {
          child = decisions.labels(router, decision.model, decision.reason, String(shadow))
          chosen.set(key, child)
        }
        child.inc()
      },
    }
  }
  const bound = new WeakMap<LiveRouter, ReturnType<typeof bind>>()

  return {
    registry,
    observe(event) {
      const { live, decision } = event
      let its = bound.get(live)
      if (!its) {
        its = bind(live)
        bound.set(live, its)
      }
      its.decided(event)
      its.seconds.observe(event.seconds)
      if (event.cache !== 'off') its[event.cache].inc()
      if (decision.fallback_reason !== null) {
        fallbacks.inc({ router: decision.router.name, reason: decision.fallback_reason })
      }
      if (decision.win_rate !== null) {
        its.winRate.observe(decision.win_rate)
        its.drift.add(decision.win_rate)
      }
      if (event.shadow) return
      const paid = decision.candidates[0]!.est_cost_usd
      const { strong } = live
      const full = decision.candidates.find((candidate) => candidate.model === strong)?.est_cost_usd
      if (paid === null || full === null || full === undefined) return
      its.cost.inc(paid)
      if (full > paid) its.saved.inc(full - paid)
    },
    refused: (code) => refused.inc({ code }),
    feedback: () => feedback.inc(),
    reload: (result) => reloads.inc({ result }),
  }
}

/** In the primary: all workers' metrics added up, each time it is called. */
export async function clusterMetrics(): Promise<() => Promise<string>> {
  const { AggregatorRegistry } = await import('prom-client')
  const aggregator = new AggregatorRegistry()
  return () => aggregator.clusterMetrics()
}
