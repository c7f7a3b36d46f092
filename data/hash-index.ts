const EMPTY = 0

/**
 * Finds the number of a 32-byte digest: open addressing over typed arrays, about 50 bytes an entry, and
 * exact, because whole digests are compared.
 */
export class HashIndex {
  /** entry number + 1, or EMPTY */
  private slots = new Uint32Array(1 << 12)
  private digests = Buffer.alloc(32 << 11)
  private first = new Uint32Array(1 << 11)
  size = 0

  /** The number of a digest (32 characters of latin1); one that was not there takes the next number. */
  add(digest: string): number {
    const key =
      ((digest.charCodeAt(0) << 24) |
        (digest.charCodeAt(1) << 16) |
        (digest.charCodeAt(2) << 8) |
        digest.charCodeAt(3)) >>>
      0
    const mask = this.slots.length - 1
    for (let slot = key & mask; ; slot = (slot + 1) & mask) {
      const held = this.slots[slot]!
      if (held === EMPTY) {
        this.slots[slot] = this.size + 1
        this.append(digest, key)
        return this.size - 1
      }
      if (this.first[held - 1] === key && this.equals(held - 1, digest)) return held - 1
    }
  }

  /** First 32 bits of an entry's digest. */
  keyOf(entry: number): number {
    return this.first[entry]!
  }

  /** The digests of all entries in order, 32 bytes each; valid until the next add. */
  bytes(): Uint8Array {
    return this.digests.subarray(0, this.size * 32)
  }

  private equals(entry: number, digest: string): boolean {
    const start = entry * 32
    for (let i = 4; i < 32; i++) {
      if (this.digests[start + i] !== digest.charCodeAt(i)) return false
    }
    return true
  }

  private append(digest: string, key: number): void {
    if (this.size === this.first.length) {
      const digests = Buffer.alloc(this.digests.length * 2)
      digests.set(this.digests)
      this.digests = digests
      const first = new Uint32Array(this.first.length * 2)
      first.set(this.first)
      this.first = first
    }
    this.digests.write(digest, this.size * 32, 'latin1')
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
