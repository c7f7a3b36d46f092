/** The latest entries of a map that would grow for ever: between half of `limit` and `limit` of them. */
export class RecentMap<V> {
  private young = new Map<string, V>()
  private old = new Map<string, V>()
  private readonly half: number

  constructor(limit: number) {
    this.half = Math.max(1, Math.floor(limit / 2))
  }

  get(key: string): V | undefined {
    return this.young.get(key) ?? this.old.get(key)
  }

  set(key: string, value: V): void {
    this.young.set(key, value)
    if (this.young.size < this.half) return
    this.old = this.young
    this.young = new Map()
  }
}
