/**
 * The one timer and the one signal of an attempt: aborted when the caller's signal is, or when nothing
 * came for too long. Says afterwards which it was.
 */
export class AttemptWatch {
  /** the limit that was passed, in milliseconds; undefined while none was */
  late: number | undefined
  private readonly controller = new AbortController()
  private readonly outer: AbortSignal
  private readonly stop: () => void
  private timer: NodeJS.Timeout | undefined

  constructor(outer: AbortSignal, limitMs: number) {
    this.outer = outer
    this.stop = () => this.abort()
    if (outer.aborted) this.controller.abort()
    else outer.addEventListener('abort', this.stop, { once: true })
    this.restart(limitMs)
  }

  get signal(): AbortSignal {
    return this.controller.signal
  }

  /** why the caller gave up, where it did */
  get givenUp(): unknown {
    return this.outer.aborted ? (this.outer.reason ?? true) : undefined
  }

  /** Something came: from now on `limitMs` may pass before the next. */
  restart(limitMs: number): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(
      () => {
        this.late = limitMs
        this.abort()
      },
      Math.max(0, limitMs),
    )
  }

  /** The same limit again, without a new timer. */
  refresh(): void {
    this.timer?.refresh()
  }

  /** Closes the connection, if it is open. */
  abort(): void {
    this.end()
    this.controller.abort()
  }

  /** All is well: nothing is watched any more. */
  end(): void {
    clearTimeout(this.timer)
    this.outer.removeEventListener('abort', this.stop)
  }
}
