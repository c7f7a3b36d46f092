import type { Backend } from './backend.ts'

export interface BalanceOptions {
  readonly balance: 'least_loaded' | 'weighted'
  /** milliseconds, never going back */
  readonly now: () => number
  /** uniform in [0, 1) */
  readonly random: () => number
}

export interface ChoiceOptions {
  readonly stream: boolean
  readonly maxLatencyMs?: number | undefined
  /** tried before and taken again only where nothing else is left */
  readonly tried?: ReadonlySet<Backend>
}

/** A median so many times the fastest one's is an outlier's, if it is slower by so many milliseconds as well. */
const OUTLIER_RATIO = 3
const OUTLIER_MS = 20

/**
 * Who is asked: of those that may be asked (breaker, Retry-After), without the outliers, and within the
 * latency that was asked for where any is; then by load or weight. What was left out for its latency is
 * forgotten a minute later and so tried again.
 */
export function chooseBackend(
  backends: readonly Backend[],
  options: BalanceOptions,
  { stream, maxLatencyMs, tried }: ChoiceOptions,
): Backend | undefined {
  const only = backends[0]
  if (backends.length === 1) return only && usable(only, options.now()) ? only : undefined
  let left = backends.filter((backend) => usable(backend, options.now()))
  left = orAll(left, (backend) => !tried?.has(backend))
  left = orAll(left, (backend) => withinLatency(backend, stream, maxLatencyMs))
  const medians = left.map((backend) => backend.latency(stream).p50 ?? Number.POSITIVE_INFINITY)
  const best = Math.min(...medians)
  left = left.filter((_, i) => {
    const median = medians[i]!
    return !(Number.isFinite(median) && median > OUTLIER_RATIO * best && median > best + OUTLIER_MS)
  })
  return options.balance === 'weighted'
    ? byWeight(left, options.random)
    : leastLoaded(left, options.random)
}

export const usable = (backend: Backend, now: number): boolean =>
  backend.breaker.ready && backend.pausedUntil <= now

export function withinLatency(
  backend: Backend,
  stream: boolean,
  maxLatencyMs: number | undefined,
): boolean {
  if (maxLatencyMs === undefined) return true
  const p95 = backend.latency(stream).p95
  return p95 === undefined || p95 <= maxLatencyMs
}

/** What fits, or all where nothing does. */
function orAll(backends: Backend[], fits: (backend: Backend) => boolean): Backend[] {
  const fitting = backends.filter(fits)
  return fitting.length > 0 ? fitting : backends
}

function leastLoaded(backends: readonly Backend[], random: () => number): Backend | undefined {
  let chosen: Backend | undefined
  let least = Number.POSITIVE_INFINITY
  let ties = 0
  for (const backend of backends) {
    const load = (backend.inFlight + 1) / backend.weight
    if (load < least) {
      least = load
      chosen = backend
      ties = 1
    } else if (load === least && random() * ++ties < 1) {
      chosen = backend
    }
  }
  return chosen
}

function byWeight(backends: readonly Backend[], random: () => number): Backend | undefined {
  let point = random() * backends.reduce((sum, { weight }) => sum + weight, 0)
  for (const backend of backends) {
    point -= backend.weight
    if (point < 0) return backend
  }
  return backends.at(-1)
}
