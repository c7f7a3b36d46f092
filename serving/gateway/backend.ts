import { placeOf } from '../../core/hash.ts'
import type { UpstreamError } from '../upstreams/failure.ts'
import type { Upstream } from '../upstreams/upstream.ts'
import type { Breaker } from './breaker.ts'
import { Pace, Sliding } from './pace.ts'

/** Why and until when an upstream is left alone. */
export class Pause {
  /** in the clock's milliseconds */
  until = 0
  /** what it said last */
  failure: UpstreamError | undefined

  /** called with what this server has met itself */
  onSet: ((until: number, failure: UpstreamError) => void) | undefined

  set(until: number, failure: UpstreamError): void {
    this.until = until
    this.failure = failure
    this.onSet?.(until, failure)
  }

  /** By what another server has met: it makes no pause shorter. */
  extend(until: number, failure: UpstreamError): void {
    if (until <= this.until) return
    this.until = until
    this.failure = failure
  }
}

/** How long a time counts when upstreams are balanced, in milliseconds: one that was slow an hour ago may be fast now. */
const BALANCE_MS = 60_000

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
  /** how fast it answers, for the goals of requests */
  readonly pace: Pace
  private readonly streams: Sliding
  private readonly wholes: Sliding

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
    this.pace = new Pace(now)
    this.streams = new Sliding(now, BALANCE_MS)
    this.wholes = new Sliding(now, BALANCE_MS)
  }

  /** Times to the first token of streams, or to whole answers. */
  latency(stream: boolean): Sliding {
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
  /** requests with the same text go to the same backend, as long as its load allows it: it has their prompt in its cache */
  readonly affinity?: string | undefined
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
  { stream, maxLatencyMs, affinity, tried }: ChoiceOptions,
): Backend | undefined {
  const only = backends[0]
  if (backends.length === 1) return only && usable(only, options.now()) ? only : undefined
  let left = backends.filter((backend) => usable(backend, options.now()))
  left = orAll(left, (backend) => !tried?.has(backend))
  left = orAll(left, (backend) => withinLatency(backend, stream, maxLatencyMs))
  const medians = left.map(
    (backend) => backend.latency(stream).quantile(0.5) ?? Number.POSITIVE_INFINITY,
  )
  const best = Math.min(...medians)
  left = left.filter((_, i) => {
    const median = medians[i]!
    return !(Number.isFinite(median) && median > OUTLIER_RATIO * best && median > best + OUTLIER_MS)
  })
  const kept = affinity === undefined ? undefined : byAffinity(left, affinity)
  if (kept) return kept
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
  const p95 = backend.latency(stream).quantile(0.95)
  return p95 === undefined || p95 <= maxLatencyMs
}

/** The entries that fit, or all if none does. */
function orAll(backends: Backend[], fits: (backend: Backend) => boolean): Backend[] {
  const fitting = backends.filter(fits)
  return fitting.length > 0 ? fitting : backends
}

/** More requests in flight than twice the mean and this many: another backend is better, though it must read anew. */
const CROWDED = 4

/**
 * The backend of a session by weighted rendezvous hashing (Thaler and Ravishankar 1998): the same one as long as it is
 * there, and when one leaves only its sessions move. Undefined if it is crowded.
 */
function byAffinity(backends: readonly Backend[], affinity: string): Backend | undefined {
  let chosen: Backend | undefined
  let most = 0
  let load = 0
  for (const backend of backends) {
    load += backend.inFlight
    // uniform in (0, 1]; the largest of -weight / log(u) has a chance of its weight over all
    const u = 1 - placeOf(affinity, `${backend.upstream.name}\n${backend.model}`)
    const score = u === 1 ? Number.POSITIVE_INFINITY : -backend.weight / Math.log(u)
    if (score <= most) continue
    most = score
    chosen = backend
  }
  const crowded = chosen && chosen.inFlight > (2 * load) / backends.length + CROWDED
  return crowded ? undefined : chosen
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
