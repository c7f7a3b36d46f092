import type { Registry } from 'prom-client'
import { LeanHistogram, registerLean, type Sample } from '../../core/lean-metric.ts'
import { isOod } from '../../models/bundle/ood-rule.ts'
import type { Decision } from '../../models/decision/decision.ts'
import type { LiveRouter } from '../router/live-router.ts'
import type { DecisionObserver } from '../router/observer.ts'
import type { Snapshot } from '../router/snapshot.ts'

/** Numbers kept elsewhere, read when Prometheus scrapes. */
export interface MetricSources {
  readonly snapshot: () => Snapshot | undefined
  readonly inFlight: () => number
  readonly lagMs: () => number
  readonly log: () => { readonly failing: boolean; readonly dropped: number } | undefined
}

export interface Metrics {
  readonly registry: Registry
  readonly observe: DecisionObserver
  /** a request was refused, with this code */
  readonly refused: (code: string) => void
  readonly feedback: () => void
  readonly reload: (result: 'ok' | 'refused') => void
  /** adds the alarms to the metrics */
  readonly watch: (alarms: AlarmNumbers) => void
}

/** Opens prom-client, which is imported only in this file. */
export async function createMetrics(sources: MetricSources): Promise<Metrics> {
  const { Counter, Gauge, Registry, collectDefaultMetrics } = await import('prom-client')
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const labelNames = ['router'] as const
  const bound = new Map<string, RouterCounts>()
  const perRouter = (read: (router: string, counts: RouterCounts) => Sample[]) => (): Sample[] =>
    [...bound].flatMap(([router, counts]) => read(router, counts))
  const counted = (
    name: string,
    help: string,
    label: string,
    of: (counts: RouterCounts) => Map<string, { count: number }>,
  ): void =>
    registerLean(
      registry,
      name,
      help,
      'counter',
      perRouter((router, counts) =>
        [...of(counts)].map(([key, { count }]) => ({
          labels: { router, [label]: key },
          value: count,
        })),
      ),
    )
  registerLean(
    registry,
    'weir_decisions_total',
    'Decisions made, by router, chosen model and reason; shadows apart.',
    'counter',
    perRouter((router, { decided }) =>
      [...decided.values()].map(({ model, reason, shadow, count }) => ({
        labels: { router, model, reason, shadow: String(shadow) },
        value: count,
      })),
    ),
  )
  counted(
    'weir_fallbacks_total',
    'Decisions that the router itself did not make, by why.',
    'reason',
    (counts) => counts.fallbacks,
  )
  counted(
    'weir_cache_total',
    'Look-ups of the score cache, by result.',
    'result',
    (counts) => counts.cache,
  )
  registerLean(
    registry,
    'weir_out_of_distribution_total',
    'Prompts unlike the training prompts of the router that decided them.',
    'counter',
    perRouter((router, { odd }) => [{ labels: { router }, value: odd }]),
  )
  const histogram = (name: string, help: string, of: 'seconds' | 'winRates'): void =>
    registerLean(
      registry,
      name,
      help,
      'histogram',
      perRouter((router, counts) => counts[of].values(name, { router })),
    )
  histogram('weir_decision_seconds', 'Time from the parsed request to its decision.', 'seconds')
  histogram('weir_win_rate', 'Win rates of the strong model.', 'winRates')
  const dollars = (name: string, help: string, of: 'cost' | 'saved'): void =>
    registerLean(
      registry,
      name,
      help,
      'counter',
      perRouter((router, counts) => [{ labels: { router }, value: counts[of] }]),
    )
  dollars(
    'weir_estimated_cost_usd_total',
    'Estimated cost of the chosen models, where the bundle knows prices.',
    'cost',
  )
  dollars(
    'weir_estimated_saved_usd_total',
    'Estimated saving against always choosing the strong model.',
    'saved',
  )
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

  return {
    registry,
    observe({ live, decision, cache, seconds, shadow }) {
      const { name } = live.router.manifest
      let counts = bound.get(name)
      if (!counts) {
        counts = newCounts()
        bound.set(name, counts)
      }
      countDecision(counts, decision, shadow)
      counts.seconds.observe(seconds)
      if (cache !== 'off') counts.cache.get(cache)!.count++
      if (decision.fallback_reason !== null) {
        const known = counts.fallbacks.get(decision.fallback_reason)
        if (known) known.count++
        else counts.fallbacks.set(decision.fallback_reason, { count: 1 })
      }
      if (decision.win_rate !== null) {
        counts.winRates.observe(decision.win_rate)
        let drift = drifts.get(live)
        if (!drift) {
          drift = new WinRateDrift()
          drifts.set(live, drift)
        }
        drift.add(decision.win_rate)
      }
      if (!shadow && isOod(decision.ood, live.router.manifest.ood)) counts.odd++
      if (!shadow) countDollars(counts, live, decision)
    },
    refused: (code) => refused.inc({ code }),
    feedback: () => feedback.inc(),
    watch: (alarms) => watchAlarms(registry, alarms),
    reload: (result) => reloads.inc({ result }),
  }
}

/** Sums the JSON of workers' registries, as Prometheus text. */
export async function metricsAdder(): Promise<(reports: readonly object[]) => Promise<string>> {
  const { AggregatorRegistry } = await import('prom-client')
  return (reports) => AggregatorRegistry.aggregate([...reports]).metrics()
}

/** From 100 microseconds to one second. */
const SECONDS = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1]
const WIN_RATES = Array.from({ length: 19 }, (_, i) => Math.round((i + 1) * 5) / 100)

/** The counts of one router, over all its versions: plain numbers, as every request updates them. */
interface RouterCounts {
  readonly decided: Map<string, { model: string; reason: string; shadow: boolean; count: number }>
  readonly fallbacks: Map<string, { count: number }>
  readonly cache: Map<string, { count: number }>
  readonly seconds: LeanHistogram
  readonly winRates: LeanHistogram
  /** prompts unlike the training prompts */
  odd: number
  cost: number
  saved: number
}

function newCounts(): RouterCounts {
  return {
    decided: new Map(),
    fallbacks: new Map(),
    cache: new Map([
      ['hit', { count: 0 }],
      ['miss', { count: 0 }],
    ]),
    seconds: new LeanHistogram(SECONDS),
    winRates: new LeanHistogram(WIN_RATES),
    odd: 0,
    cost: 0,
    saved: 0,
  }
}

function countDecision(counts: RouterCounts, { model, reason }: Decision, shadow: boolean): void {
  const key = shadow ? `${model}\n${reason}\nshadow` : `${model}\n${reason}`
  const known = counts.decided.get(key)
  if (known) known.count++
  else counts.decided.set(key, { model, reason, shadow, count: 1 })
}

function countDollars(counts: RouterCounts, live: LiveRouter, { candidates }: Decision): void {
  const paid = candidates[0]!.est_cost_usd
  if (paid === null) return
  for (const { model, est_cost_usd: full } of candidates) {
    if (model !== live.strong || full === null) continue
    counts.cost += paid
    if (full > paid) counts.saved += full - paid
  }
}

const BINS = 10
const WINDOW = 1000

/**
 * How far recent win rates have moved: the population stability index of the last thousand against the first
 * thousand, sum of (p - q) ln(p / q) over ten bins. By convention under 0.1 is stable, over 0.2 a shift.
 */
export class WinRateDrift {
  private readonly reference = new Uint32Array(BINS)
  private readonly recent = new Uint32Array(BINS)
  private readonly window = new Uint8Array(WINDOW)
  private seen = 0

  add(winRate: number): void {
    const bin = Math.min(BINS - 1, Math.floor(winRate * BINS))
    const at = this.seen % WINDOW
    if (this.seen < WINDOW) this.reference[bin]!++
    else this.recent[this.window[at]!]!--
    this.recent[bin]!++
    this.window[at] = bin
    this.seen++
  }

  /** undefined until the window no longer overlaps the reference */
  psi(): number | undefined {
    if (this.seen < 2 * WINDOW) return undefined
    let sum = 0
    for (let bin = 0; bin < BINS; bin++) {
      // half a count keeps an empty bin finite
      const p = (this.recent[bin]! + 0.5) / (WINDOW + BINS / 2)
      const q = (this.reference[bin]! + 0.5) / (WINDOW + BINS / 2)
      sum += (p - q) * Math.log(p / q)
    }
    return sum
  }
}

/** A summary of the alarms. */
interface AlarmNumbers {
  readonly raised: ReadonlyMap<string, { router: string; alarm: string; count: number }>
  readonly stale: ReadonlySet<string>
  levels(): { router: string; alarm: string; level: number }[]
}

/** Adds the alarms to the metrics. */
function watchAlarms(registry: Registry, alarms: AlarmNumbers): void {
  registerLean(registry, 'weir_alarms_total', 'Alarms that went off.', 'counter', () =>
    [...alarms.raised.values()].map(({ router, alarm, count }) => ({
      labels: { router, alarm },
      value: count,
    })),
  )
  registerLean(
    registry,
    'weir_alarm_level',
    'How near an alarm is to going off, 0 to 1.',
    'gauge',
    () =>
      alarms
        .levels()
        .map(({ router, alarm, level }) => ({ labels: { router, alarm }, value: level })),
  )
  registerLean(
    registry,
    'weir_certificate_stale',
    '1 where traffic no longer looks like what the router was certified on.',
    'gauge',
    () => [...alarms.stale].map((router) => ({ labels: { router }, value: 1 })),
  )
}
