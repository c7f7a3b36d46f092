/** What a router version said of one prompt. */
export interface CachedScore {
  readonly winRate: number
  readonly quality: Float64Array | undefined
  readonly truncated: boolean
}

/** The scores of one router version by prompt hash; the least recently used one makes room. */
export class ScoreCache {
  private readonly entries = new Map<string, CachedScore>()
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  get(hash: string): CachedScore | undefined {
    const found = this.entries.get(hash)
    if (found === undefined) return undefined
    // a Map keeps the order of insertion: put it last again
    this.entries.delete(hash)
    this.entries.set(hash, found)
    return found
  }

  set(hash: string, score: CachedScore): void {
    if (this.entries.size >= this.limit) {
      const oldest = this.entries.keys().next()
      if (!oldest.done) this.entries.delete(oldest.value)
    }
    this.entries.set(hash, score)
  }
}
