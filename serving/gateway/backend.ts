import type { UpstreamError } from '../upstreams/failure.ts'
import type { Upstream } from '../upstreams/upstream.ts'
import type { Breaker } from './breaker.ts'

const WINDOW = 100
/** How long a time is kept, in milliseconds: an upstream that was slow an hour ago may be fast now. */
const AGE_MS = 60_000
/** Fewest times for a useful quantile. */
export const ENOUGH = 10
/** A quantile is computed again after this many more times. */
const STALE = 8

/** The latest times of one upstream and model: to the first token of a stream, or of a whole answer. */
export class Latency {
  private readonly values = new Float64Array(WINDOW)
  private readonly times = new Float64Array(WINDOW).fill(Number.NEGATIVE_INFINITY)
  private readonly now: () => number
  private next = 0
  private since = STALE
  private cached: { readonly at: number; readonly p50: number; readonly p95: number } | undefined

  /** @param now milliseconds, never going back */
  constructor(now: () => number) {
    this.now = now
  }

  add(milliseconds: number): void {
    this.values[this.next] = milliseconds
    this.times[this.next] = this.now()
    this.next = (this.next + 1) % WINDOW
    this.since++
  }

  /** In milliseconds; undefined while fewer than ten times are known from the last minute. */
  get p95(): number | undefined {
    return this.quantiles()?.p95
  }

  get p50(): number | undefined {
    return this.quantiles()?.p50
  }

  private quantiles(): { p50: number; p95: number } | undefined {
    const now = this.now()
    if (this.since < STALE && (!this.cached || now - this.cached.at < AGE_MS / 4))
      return this.cached
    this.since = 0
    const known = this.values.filter((_, i) => now - this.times[i]! < AGE_MS).sort()
    const at = (share: number): number => known[Math.ceil(share * known.length) - 1]!
    this.cached = known.length < ENOUGH ? undefined : { at: now, p50: at(0.5), p95: at(0.95) }
    return this.cached
  }
}

/** Why and until when an upstream is left alone. */
export class Pause {
  /** in the clock's milliseconds */
  until = 0
  /** what it said last */
  failure: UpstreamError | undefined

  set(until: number, failure: UpstreamError): void {
    this.until = until
    this.failure = failure
  }
}

/** One upstream that answers for a model, with its breaker and latencies. */
export class Backend {
  readonly upstream: Upstream
  /** what the upstream calls the model */
  readonly model: string
  readonly weight: number
  /** one per upstream, shared by its models */
  readonly breaker: Breaker
  inFlight = 0
  /** because of this model: a rate limit, or a name that the upstream does not know */
  readonly pause = new Pause()
  /** because of the key, whatever the model: it is wrong, or its account has no credit; one per upstream */
  readonly keyPause: Pause
  private readonly streams: Latency
  private readonly wholes: Latency

  constructor(
    upstream: Upstream,
    model: string,
    weight: number,
    breaker: Breaker,
    now: () => number,
    keyPause: Pause = new Pause(),
  ) {
    this.upstream = upstream
    this.model = model
    this.weight = weight
    this.breaker = breaker
    this.keyPause = keyPause
    this.streams = new Latency(now)
    this.wholes = new Latency(now)
  }

  /** Times to the first token of streams, or to whole answers. */
  latency(stream: boolean): Latency {
    return stream ? this.streams : this.wholes
  }
}

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
  /** tried before; taken again only if nothing else is left */
  readonly tried?: ReadonlySet<Backend>
}

/**
 * A backend is an outlier if its median is this many times the fastest one's and slower by this many
 * milliseconds.
 */
const OUTLIER_RATIO = 3
const OUTLIER_MS = 20

/**
 * Picks the backend to ask: of those available (breaker, Retry-After), without the outliers and within the
 * requested latency where any are; then by load or weight. The times of a backend left out for its latency
 * expire after a minute, so it is then tried again.
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
  backend.breaker.ready && backend.pause.until <= now && backend.keyPause.until <= now

export function withinLatency(
  backend: Backend,
  stream: boolean,
  maxLatencyMs: number | undefined,
): boolean {
  if (maxLatencyMs === undefined) return true
  const p95 = backend.latency(stream).p95
  return p95 === undefined || p95 <= maxLatencyMs
}

/** The entries that fit, or all if none does. */
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
