export interface CategoryAlarmOptions {
  /** share of each category in normal operation; adds up to 1 */
  readonly reference: ArrayLike<number>
  /** rows the reference was counted on: allows for its sampling error */
  readonly referenceRows?: number
  /** average number of values between false alarms, at least */
  readonly runLength: number
  /** values over which the recent shares are learnt */
  readonly memory?: number
}

/**
 * Watches a stream of categories (tenths of the win rate, cells of the embedding space) for any change of
 * their shares. Each value multiplies the evidence by its recent share over its reference share, with the
 * recent shares learnt only from earlier values: a bet whose expectation is 1 while nothing has changed,
 * summed as in Shiryaev-Roberts, so false alarms are at least `runLength` apart on average. Recent shares are
 * pulled towards the reference, so that noise is not bet on. A reference counted on few rows has an error
 * itself: it keeps learning from every value, weighted by its rows, so that this error is not taken for a
 * change (checked by simulation; exact if the reference is).
 */
export class CategoryAlarm {
  readonly limit: number
  private readonly reference: Float64Array
  private readonly recent: Float64Array
  private readonly fading: number
  /** weight of each value in the reference, as a share of its rows; 0 if it is exact */
  private readonly learning: number
  private seen = 1
  private total = 0
  private evidence = 0

  constructor(options: CategoryAlarmOptions) {
    const { referenceRows = Number.POSITIVE_INFINITY, memory = 1000 } = options
    const k = options.reference.length
    // half a count in each keeps unseen categories possible
    const smooth = Number.isFinite(referenceRows) ? 0.5 / referenceRows : 1e-6
    this.reference = Float64Array.from(options.reference, (q) => (q + smooth) / (1 + k * smooth))
    this.recent = new Float64Array(k)
    this.fading = 1 - 1 / memory
    this.learning = 1 / referenceRows
    this.limit = options.runLength
  }

  /** @returns whether the alarm fires now; the evidence is then reset */
  add(category: number): boolean {
    const q = this.reference[category]! / this.seen
    // as if `memory` reference values had been seen as well
    const prior = 1 / (1 - this.fading)
    const p = (this.recent[category]! + prior * q) / (this.total + prior)
    this.evidence = (1 + this.evidence) * (p / q)
    for (let k = 0; k < this.recent.length; k++) this.recent[k]! *= this.fading
    this.recent[category]! += 1
    this.reference[category]! += this.learning
    this.seen += this.learning
    this.total = this.total * this.fading + 1
    if (this.evidence < this.limit) return false
    this.evidence = 0
    return true
  }

  /** 0 to 1, as `MeanAlarm.level`. */
  get level(): number {
    return Math.min(1, Math.log1p(this.evidence) / Math.log1p(this.limit))
  }
}

/** The index of the bin that a value falls in, of `cuts.length + 1`; cuts ascend. */
export function binOf(value: number, cuts: ArrayLike<number>): number {
  let bin = 0
  while (bin < cuts.length && value >= cuts[bin]!) bin++
  return bin
}
