import type { SegmentFile } from '../../core/segments.ts'

/** Whether writing works, told on when it begins to fail and when it works again, not at every failure. */
export class WriteHealth {
  readonly #told: (failure: Error | undefined) => void
  failing = false

  /** @param told once with the failure, and once without when it is over */
  constructor(told: (failure: Error | undefined) => void) {
    this.#told = told
  }

  /** Writes; what the disk says is told on and not thrown. */
  attempt(write: () => void): void {
    try {
      write()
      if (this.failing) this.#told(undefined)
      this.failing = false
    } catch (error) {
      const first = !this.failing
      this.failing = true
      if (first) this.#told(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

/** Syncs and closes; that the disk fails was told before, where it matters. */
export function closeSynced(file: SegmentFile | undefined): void {
  try {
    file?.sync()
  } catch {
    // see above
  }
  file?.close()
}
