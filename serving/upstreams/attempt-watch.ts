import type { Cancellation } from './cancellation.ts'

/**
 * Closes an attempt when the caller gives up, or when nothing came for too long, and says afterwards
 * which it was. One timer at a time.
 */
export class AttemptWatch {
  /** the limit that was passed, in milliseconds; undefined while none was */
  late: number | undefined
  private readonly outer: Cancellation
  private readonly close: () => void
  private timer: NodeJS.Timeout | undefined
  private ended = false

  /** @param close closes the connection, if it is open; called once at most */
  constructor(outer: Cancellation, limitMs: number, close: () => void) {
    this.outer = outer
    this.close = close
    outer.listen(this.abort)
    this.restart(limitMs)
  }

  /** why the caller gave up, where it did */
  get givenUp(): unknown {
    return this.outer.cancelled ? (this.outer.reason ?? true) : undefined
  }

  /** Something came: from now on `limitMs` may pass before the next. */
  restart(limitMs: number): void {
    clearTimeout(this.timer)
    if (this.ended) return
    this.timer = setTimeout(this.passed, Math.max(0, limitMs), limitMs)
  }

  /** The same limit again, without a new timer. */
  refresh(): void {
    this.timer?.refresh()
  }

  /** Nothing is expected until `restart`. */
  pause(): void {
    clearTimeout(this.timer)
  }

  readonly abort = (): void => {
    if (this.ended) return
    this.end()
    this.close()
  }

  /** All is well: nothing is watched any more. */
  end(): void {
    this.ended = true
    clearTimeout(this.timer)
    this.outer.unlisten(this.abort)
  }

  private readonly passed = (limitMs: number): void => {
    this.late = limitMs
    this.abort()
  }
}
