/** The reference and the guarantees of a mean alarm. */
export interface MeanAlarmOptions {
  /** mean of the values in normal operation, in (0, 1) */
  readonly reference: number
  /** rows the reference was measured on; absent if it is known exactly */
  readonly referenceRows?: number
  /** change of the mean to be detected soonest, in the values' units */
  readonly shift: number
  readonly direction: 'fall' | 'rise'
  /** average number of values between false alarms, at least */
  readonly runLength: number
}

/** Standard errors by which a measured reference is relaxed. */
const DOUBT = 0.5

/**
 * Watches values in [0, 1] for a change of their mean: a Shiryaev-Roberts e-detector (Shin, Ramdas and
 * Rinaldo 2023). Each value multiplies the evidence by 1 + lambda (m - x), a bet whose expectation is at
 * most 1 while the mean is m or better, whatever the distribution: so values between false alarms
 * average at least `runLength`. For 0/1 values the bet is the likelihood ratio of the shift itself.
 */
export class MeanAlarm {
  readonly limit: number
  /** the mean that the alarm compares with: the reference less its uncertainty */
  readonly floor: number
  private readonly bet: number
  private readonly rise: boolean
  private evidence = 0

  constructor(options: MeanAlarmOptions) {
    const { reference, referenceRows = Number.POSITIVE_INFINITY, shift } = options
    this.rise = options.direction === 'rise'
    this.limit = options.runLength
    const own = this.rise ? 1 - reference : reference
    const doubt = DOUBT * Math.sqrt((own * (1 - own)) / referenceRows)
    this.floor = Math.min(1 - 1e-3, Math.max(1e-3, own - doubt))
    // 1 + bet (m - x) is the likelihood ratio of m - shift against m; kept positive at x = 1
    this.bet = Math.min(
      shift / (this.floor * (1 - this.floor)),
      0.95 / Math.max(1e-9, 1 - this.floor),
    )
  }

  /** @param value in [0, 1]. @returns whether the alarm fires now; the evidence is then reset */
  add(value: number): boolean {
    const x = this.rise ? 1 - value : value
    this.evidence = (1 + this.evidence) * (1 + this.bet * (this.floor - x))
    if (this.evidence < this.limit) return false
    this.evidence = 0
    return true
  }

  /** 0 to 1: the logarithm of the evidence relative to that of the limit. */
  get level(): number {
    return Math.min(1, Math.log1p(this.evidence) / Math.log1p(this.limit))
  }

  /** The state to keep over a restart. */
  get state(): number {
    return this.evidence
  }

  resume(state: number): void {
    if (Number.isFinite(state) && state >= 0) this.evidence = Math.min(state, this.limit)
  }
}
