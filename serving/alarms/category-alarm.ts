export interface CategoryAlarmOptions {
  /** share of each category while all is well; adds up to 1 */
  readonly reference: ArrayLike<number>
  /** rows the reference was counted on: its own error is allowed for */
  readonly referenceRows?: number
  /** average number of values between false alarms, at least */
  readonly runLength: number
  /** values over which the recent shares are learnt */
  readonly memory?: number
}

/**
 * Watches a stream of categories (tenths of the win rate, cells of the embedding space) for a change of
 * their shares, of whatever kind. Each value multiplies the evidence by its recent share over its
 * reference share, the recent shares learnt from the values before it only: a bet whose expectation is 1
 * while nothing has changed, summed as in Shiryaev-Roberts, so false alarms are at least `runLength` apart on
 * average. Recent shares are pulled towards the reference, so that noise is not bet on. A reference that was
 * counted on few rows is itself off: it goes on learning from every value, weighed by its rows, so that its
 * own error is not taken for a change (checked by simulation; exact where the reference is).
 */
export class CategoryAlarm {
  readonly limit: number
  private readonly reference: Float64Array
  private readonly recent: Float64Array
  private readonly fading: number
  /** added to the reference by each value, as a share of its rows; 0 where it is exact */
  private readonly learning: number
  private seen = 1
  private total = 0
  private evidence = 0

  constructor(options: CategoryAlarmOptions) {
    const { referenceRows = Number.POSITIVE_INFINITY, memory = 1000 } = options
    const k = options.reference.length
    // half a count in each keeps a category that was never seen possible
    const smooth = Number.isFinite(referenceRows) ? 0.5 / referenceRows : 1e-6
    this.reference = Float64Array.from(options.reference, (q) => (q + smooth) / (1 + k * smooth))
    this.recent = new Float64Array(k)
    this.fading = 1 - 1 / memory
    this.learning = 1 / referenceRows
    this.limit = options.runLength
  }

  /** @returns whether the alarm goes off now; the evidence then starts anew */
  add(category: number): boolean {
    const q = this.reference[category]! / this.seen
    // as if a memory's worth of reference values had been seen as well
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

/** Which of `cuts.length + 1` bins a value falls in; cuts ascend. */
export function binOf(value: number, cuts: ArrayLike<number>): number {
  let bin = 0
  while (bin < cuts.length && value >= cuts[bin]!) bin++
  return bin
}
