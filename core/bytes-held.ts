import { WeirError } from './errors.ts'

/** Seconds in the Retry-After of what there is no room for. */
const RETRY_AFTER = 1

/** Counts bytes that are held in memory, so that all together stay below a limit. */
export class BytesHeld {
  private held = 0
  private readonly most: number
  private readonly what: string

  /** @param what for the error: `request bodies` */
  constructor(most: number, what: string) {
    this.most = most
    this.what = what
  }

  get bytes(): number {
    return this.held
  }

  /** @throws overloaded */
  take(bytes: number): void {
    if (this.held + bytes > this.most) {
      const what = `${this.most} bytes of ${this.what} in memory`
      throw new WeirError('overloaded', { what }, { retryAfter: RETRY_AFTER })
    }
    this.held += bytes
  }

  release(bytes: number): void {
    this.held -= bytes
  }
}
