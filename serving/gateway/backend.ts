import type { Upstream } from '../upstreams/upstream.ts'
import type { Breaker } from './breaker.ts'
import { Latency } from './latency.ts'

/** One upstream that answers for a model, and how it does. */
export class Backend {
  readonly upstream: Upstream
  /** what the upstream calls the model */
  readonly model: string
  readonly weight: number
  /** one for all models of an upstream */
  readonly breaker: Breaker
  inFlight = 0
  /** asked for peace until then (429), in the clock's milliseconds */
  pausedUntil = 0
  private readonly streams: Latency
  private readonly wholes: Latency

  constructor(
    upstream: Upstream,
    model: string,
    weight: number,
    breaker: Breaker,
    now: () => number,
  ) {
    this.upstream = upstream
    this.model = model
    this.weight = weight
    this.breaker = breaker
    this.streams = new Latency(now)
    this.wholes = new Latency(now)
  }

  /** Times to the first token of streams, or to whole answers. */
  latency(stream: boolean): Latency {
    return stream ? this.streams : this.wholes
  }
}
