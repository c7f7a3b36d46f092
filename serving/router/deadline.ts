/**
 * Deadlines with one common duration, so that they expire in the order they were set: one timer for all of
 * them, and only a list entry for a request that is answered in time.
 */
export class DeadlineQueue {
  private readonly waiting: { due: number; late: (() => void) | undefined }[] = []
  private timer: NodeJS.Timeout | undefined
  private readonly ms: number

  /** @param ms 0 never expires */
  constructor(ms: number) {
    this.ms = ms
  }

  /** The value, or undefined if it did not come in time. A late value or failure is dropped. */
  within<T>(work: Promise<T>): Promise<T | undefined> {
    if (this.ms === 0) return work
    return new Promise((resolve, reject) => {
      const entry: { due: number; late: (() => void) | undefined } = {
        due: performance.now() + this.ms,
        late: () => resolve(undefined),
      }
      this.waiting.push(entry)
      if (this.timer === undefined) this.arm(this.ms)
      work.then(
        (value) => {
          entry.late = undefined
          resolve(value)
        },
        (error: unknown) => {
          entry.late = undefined
          reject(error)
        },
      )
    })
  }

  private arm(ms: number): void {
    this.timer = setTimeout(() => this.expire(), ms)
    this.timer.unref()
  }

  private expire(): void {
    const now = performance.now()
    let passed = 0
    let entry = this.waiting[0]
    // skip those answered since, whenever they were due
    while (entry && (entry.late === undefined || entry.due <= now)) {
      entry.late?.()
      entry = this.waiting[++passed]
    }
    this.waiting.splice(0, passed)
    this.timer = undefined
    if (entry) this.arm(Math.max(1, entry.due - now))
  }
}
