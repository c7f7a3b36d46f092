import { studentQuantile } from './beta.ts'
import { type PartialInterval, UNDEFINED_INTERVAL } from './intervals.ts'

/** A mean with its 95% interval, of values that are not kept (Welford 1962). */
export class RunningMean {
  n = 0
  mean = 0
  #squares = 0

  add(value: number): void {
    this.n++
    const before = value - this.mean
    this.mean += before / this.n
    this.#squares += before * (value - this.mean)
  }

  /** By Student's t: no mean for 0 values, no bounds for 1. */
  get interval(): PartialInterval {
    const { n, mean } = this
    if (n === 0) return UNDEFINED_INTERVAL
    if (n === 1) return { value: mean, low: null, high: null }
    const half = studentQuantile(0.975, n - 1) * Math.sqrt(this.#squares / (n - 1) / n)
    return { value: mean, low: mean - half, high: mean + half }
  }
}
