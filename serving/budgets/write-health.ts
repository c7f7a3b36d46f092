import type { SegmentFile } from '../../core/segments.ts'

/** Whether writing works. Reports when it begins to fail and when it works again, not every failure. */
export class WriteHealth {
  readonly #report: (failure: Error | undefined) => void
  failing = false

  /** @param report called once with the failure, and once without it when writing works again */
  constructor(report: (failure: Error | undefined) => void) {
    this.#report = report
  }

  /** Writes; a failure is reported and not thrown. */
  attempt(write: () => void): void {
    try {
      write()
      if (this.failing) this.#report(undefined)
      this.failing = false
    } catch (error) {
      const first = !this.failing
      this.failing = true
      if (first) this.#report(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

/** Syncs and closes. A failing disk was already reported where it matters. */
export function closeSynced(file: SegmentFile | undefined): void {
  try {
    file?.sync()
  } catch {
    // see above
  }
  file?.close()
}
