import { RecentMap } from '../../core/bounded-map.ts'
import { roleOf } from '../../models/bundle/manifest.ts'
import type { Router } from '../../models/router.ts'

/**
 * One loaded router version and its users. It is closed once it is retired and the last request that acquired
 * it has released it, so a reload never closes a version during a request.
 */
export class LiveRouter {
  readonly router: Router
  /** its scores by prompt hash */
  readonly cache: RecentMap<string, CachedScore> | undefined
  /** name of the strong candidate */
  readonly strong: string
  /** name of the weak candidate */
  readonly weak: string
  private leases = 0
  private retired = false

  constructor(router: Router, cacheEntries: number) {
    this.router = router
    this.strong = roleOf(router.manifest.candidates, 'strong').model
    this.weak = roleOf(router.manifest.candidates, 'weak').model
    this.cache = cacheEntries > 0 ? new RecentMap(cacheEntries) : undefined
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

/** A router version's result for one prompt. */
export interface CachedScore {
  readonly winRate: number
  readonly quality: Float64Array | undefined
  readonly truncated: boolean
  readonly ood: number | undefined
}
