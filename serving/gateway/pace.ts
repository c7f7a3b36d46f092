const WINDOW = 100
/** Fewest values for a useful quantile. */
const ENOUGH = 10
/** Quantiles are computed again after this many more values. */
const STALE = 8

/** The latest values of a quantity, at most 100, each for a limited time. */
export class Sliding {
  readonly #values = new Float64Array(WINDOW)
  readonly #times = new Float64Array(WINDOW).fill(Number.NEGATIVE_INFINITY)
  readonly #now: () => number
  readonly #ageMs: number
  #next = 0
  #since = STALE
  #sorted: { readonly at: number; readonly values: Float64Array } | undefined

  /** @param now milliseconds, never going back @param ageMs how long a value counts */
  constructor(now: () => number, ageMs: number) {
    this.#now = now
    this.#ageMs = ageMs
  }

  add(value: number): void {
    this.#values[this.#next] = value
    this.#times[this.#next] = this.#now()
    this.#next = (this.#next + 1) % WINDOW
    this.#since++
  }

  /** Undefined while fewer than ten values are known. @param share in (0, 1] */
  quantile(share: number): number | undefined {
    const known = this.#known()
    return known && known[Math.ceil(share * known.length) - 1]!
  }

  /** Undefined while fewer than ten values are known. */
  get mean(): number | undefined {
    const known = this.#known()
    return known && known.reduce((sum, value) => sum + value, 0) / known.length
  }

  #known(): Float64Array | undefined {
    const now = this.#now()
    const kept = this.#sorted
    const most = kept && kept.values.length < ENOUGH ? 1 : STALE
    if (!kept || this.#since >= most || now - kept.at >= this.#ageMs / 4) {
      this.#since = 0
      const values = this.#values.filter((_, i) => now - this.#times[i]! < this.#ageMs).sort()
      this.#sorted = { at: now, values }
    }
    const { values } = this.#sorted!
    return values.length < ENOUGH ? undefined : values
  }
}

/**
 * How long the times of a model count against a request's goal, in milliseconds. A model that is too slow is not asked, so
 * nothing is learnt of it until its times have expired: it is then tried again.
 */
const AGE_MS = 5 * 60_000

/** How fast a model answers at one upstream, and how much, over the last five minutes. */
export class Pace {
  /** milliseconds to the first token of a stream */
  readonly #first: Sliding
  /** tokens a second after it */
  readonly #rate: Sliding
  /** milliseconds for a whole answer */
  readonly #whole: Sliding
  /** tokens of answers, hidden reasoning included */
  readonly #tokens: Sliding

  /** @param now milliseconds, never going back */
  constructor(now: () => number) {
    this.#first = new Sliding(now, AGE_MS)
    this.#rate = new Sliding(now, AGE_MS)
    this.#whole = new Sliding(now, AGE_MS)
    this.#tokens = new Sliding(now, AGE_MS)
  }

  /** A stream that came to its end. @param restMs after the first token */
  addStream(firstMs: number, restMs: number, tokens: number | undefined): void {
    this.#first.add(firstMs)
    if (tokens === undefined || tokens <= 0) return
    this.#tokens.add(tokens)
    this.#rate.add((1000 * tokens) / Math.max(1, restMs))
  }

  addWhole(milliseconds: number, tokens: number | undefined): void {
    this.#whole.add(milliseconds)
    if (tokens !== undefined && tokens > 0) this.#tokens.add(tokens)
  }

  /** An answer that did not come in this time. */
  addLate(stream: boolean, milliseconds: number): void {
    const times = stream ? this.#first : this.#whole
    times.add(milliseconds)
  }

  /** Mean tokens of an answer. */
  get answerTokens(): number | undefined {
    return this.#tokens.mean
  }

  /** Milliseconds in which 95% of first tokens came; of whole answers, all of them. */
  firstMs(stream: boolean): number | undefined {
    return (stream ? this.#first : this.#whole).quantile(0.95)
  }

  /**
   * Milliseconds for a whole answer: of one that does not stream, the 95% quantile; of a stream, that of its first token and
   * the mean answer at the median rate.
   *
   * @param mostTokens of the answer, as the request limits it
   */
  totalMs(stream: boolean, mostTokens = Number.POSITIVE_INFINITY): number | undefined {
    if (!stream) {
      const whole = this.#whole.quantile(0.95)
      if (whole !== undefined) return whole
    }
    const [first, rate, tokens] = [
      this.#first.quantile(0.95),
      this.#rate.quantile(0.5),
      this.#tokens.mean,
    ]
    if (first === undefined || rate === undefined || tokens === undefined) return undefined
    return first + (1000 * Math.min(tokens, mostTokens)) / rate
  }
}

/** Longest times that a request or a policy allows, in milliseconds. */
export interface LatencyGoal {
  /** to the first token; of an answer that does not stream, to all of it */
  readonly maxTtftMs?: number | undefined
  /** to the last token */
  readonly maxTotalMs?: number | undefined
}

/** Why a model is too slow for a goal, by these upstreams; undefined if one is fast enough, or unknown. */
export function slownessOf(
  { maxTtftMs, maxTotalMs }: LatencyGoal,
  paces: readonly Pace[],
  stream: boolean,
  mostTokens: number | undefined,
): string | undefined {
  let slow: string | undefined
  for (const pace of paces) {
    const first = maxTtftMs === undefined ? undefined : pace.firstMs(stream)
    const total = maxTotalMs === undefined ? undefined : pace.totalMs(stream, mostTokens)
    if (first !== undefined && first > maxTtftMs!) {
      slow ??= `its first token takes up to ${Math.round(first)} ms of late, and max_ttft_ms is ${maxTtftMs}`
    } else if (total !== undefined && total > maxTotalMs!) {
      slow ??= `its answer takes about ${Math.round(total)} ms of late, and max_total_ms is ${maxTotalMs}`
    } else return undefined
  }
  return slow
}
