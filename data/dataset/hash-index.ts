const EMPTY = 0

/**
 * Maps a 32-byte digest to its number: open addressing over typed arrays, about 50 bytes per entry. Exact,
 * because whole digests are compared.
 */
export class HashIndex {
  /** entry number + 1, or EMPTY */
  private slots = new Uint32Array(1 << 12)
  private digests = new Uint8Array(32 << 11)
  private first = new Uint32Array(1 << 11)
  size = 0

  /** The number of the digest at `from`; a new digest gets the next number. */
  add(digests: Uint8Array, from: number): number {
    const key =
      ((digests[from]! << 24) |
        (digests[from + 1]! << 16) |
        (digests[from + 2]! << 8) |
        digests[from + 3]!) >>>
      0
    const mask = this.slots.length - 1
    for (let slot = key & mask; ; slot = (slot + 1) & mask) {
      const held = this.slots[slot]!
      if (held === EMPTY) {
        this.slots[slot] = this.size + 1
        this.append(digests, from, key)
        return this.size - 1
      }
      if (this.first[held - 1] === key && this.equals(held - 1, digests, from)) return held - 1
    }
  }

  /** First 32 bits of an entry's digest. */
  keyOf(entry: number): number {
    return this.first[entry]!
  }

  /** The digests of all entries in order, 32 bytes each; valid until the next `add`. */
  bytes(): Uint8Array {
    return this.digests.subarray(0, this.size * 32)
  }

  private equals(entry: number, digests: Uint8Array, from: number): boolean {
    const start = entry * 32
    for (let i = 4; i < 32; i++) if (this.digests[start + i] !== digests[from + i]) return false
    return true
  }

  private append(digests: Uint8Array, from: number, key: number): void {
    if (this.size === this.first.length) {
      const grown = new Uint8Array(this.digests.length * 2)
      grown.set(this.digests)
      this.digests = grown
      const first = new Uint32Array(this.first.length * 2)
      first.set(this.first)
      this.first = first
    }
    const start = this.size * 32
    for (let i = 0; i < 32; i++) this.digests[start + i] = digests[from + i]!
    this.first[this.size++] = key
    if (this.size * 2 > this.slots.length) this.rehash()
  }

  private rehash(): void {
    const slots = new Uint32Array(this.slots.length * 2)
    const mask = slots.length - 1
    for (let entry = 0; entry < this.size; entry++) {
      let slot = this.first[entry]! & mask
      while (slots[slot] !== EMPTY) slot = (slot + 1) & mask
      slots[slot] = entry + 1
    }
    this.slots = slots
  }
}
