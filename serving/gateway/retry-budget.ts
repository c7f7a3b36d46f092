/** Retries that may be saved up, so that a burst after a quiet time can be retried. */
const MOST = 20

/**
 * How many retries a server may still make: each request earns a share of one, each retry takes one. When
 * everything fails, retries then add a fifth to the load rather than multiply it.
 */
export class RetryBudget {
  private readonly share: number
  private left = MOST / 2

  /** @param share retries earned by each request; 0 forbids them */
  constructor(share: number) {
    this.share = share
    if (share === 0) this.left = 0
  }

  earn(): void {
    this.left = Math.min(MOST, this.left + this.share)
  }

  /** Whether a retry may be made; it is counted. */
  take(): boolean {
    if (this.left < 1) return false
    this.left--
    return true
  }
}

const FIRST_WAIT_MS = 50
const LONGEST_WAIT_MS = 2_000

/** Milliseconds to wait before retry n = 1, 2, ...: full jitter, so that clients do not come back in step. */
export function backoffMs(retry: number, random: () => number): number {
  return random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (retry - 1))
}
