import type { Router } from '../../models/router.ts'

/**
 * One loaded router version and who is using it. It is closed when it has been retired and the last
 * request that took it has let go, so a swap never pulls a version from under a request.
 */
export class LiveRouter {
  readonly router: Router
  readonly cache: ScoreCache | undefined
  /** the strong candidate's name */
  readonly strong: string
  private leases = 0
  private retired = false

  constructor(router: Router, cacheEntries: number) {
    this.router = router
    this.strong = router.manifest.candidates.find(({ role }) => role === 'strong')!.model
    this.cache = cacheEntries > 0 ? new ScoreCache(cacheEntries) : undefined
  }

  acquire(): void {
    this.leases++
  }

  release(): void {
    this.leases--
    if (this.retired && this.leases === 0) void this.router.close()
  }

  retire(): void {
    if (this.retired) return
    this.retired = true
    if (this.leases === 0) void this.router.close()
  }
}

/** What a router version said of one prompt. */
export interface CachedScore {
  readonly winRate: number
  readonly quality: Float64Array | undefined
  readonly truncated: boolean
}

/**
 * The scores of one router version by prompt hash. Two generations stand in for a list in order of use:
 * what is asked for moves to the young one, and when that is full the old one goes as a whole. A Map that
 * drops its oldest key at every insertion would walk over the gaps it left behind.
 */
class ScoreCache {
  private young = new Map<string, CachedScore>()
  private old = new Map<string, CachedScore>()
  private readonly half: number

  /** @param limit entries kept at the most, both generations together */
  constructor(limit: number) {
    this.half = Math.max(1, Math.floor(limit / 2))
  }

  get(hash: string): CachedScore | undefined {
    const found = this.young.get(hash)
    if (found !== undefined) return found
    const older = this.old.get(hash)
    if (older !== undefined) this.set(hash, older)
    return older
  }

  set(hash: string, score: CachedScore): void {
    this.young.set(hash, score)
    if (this.young.size < this.half) return
    this.old = this.young
    this.young = new Map()
  }
}
