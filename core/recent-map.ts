/** A map of bounded size: where it is full, the entry that was used longest ago makes room. */
export class RecentMap<K, V> {
  private readonly entries = new Map<K, V>()
  private readonly most: number

  /** @param most entries; 0 keeps none */
  constructor(most: number) {
    this.most = most
  }

  get(key: K): V | undefined {
    const value = this.entries.get(key)
    if (value !== undefined) this.set(key, value)
    return value
  }

  set(key: K, value: V): void {
    // set again, so that the map's order is by last use
    this.entries.delete(key)
    this.entries.set(key, value)
    if (this.entries.size > this.most) this.entries.delete(this.entries.keys().next().value as K)
  }
}
