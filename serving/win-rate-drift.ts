const BINS = 10
const WINDOW = 1000

/**
 * How far recent win rates have moved: the population stability index of the last thousand against the
 * first thousand, sum of (p - q) ln(p / q) over ten bins. By custom under 0.1 is stable, over 0.2 a shift.
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

  /** undefined until the window has moved on from the reference */
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
