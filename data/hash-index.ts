const EMPTY = 0

/**
 * Finds the number of a 32-byte digest: open addressing over typed arrays, about 50 bytes an entry, and
 * exact, because whole digests are compared.
 */
export class HashIndex {
  /** entry number + 1, or EMPTY */
  private slots = new Uint32Array(1 << 12)
  private digests = new Uint8Array(32 << 11)
  private first = new Uint32Array(1 << 11)
  size = 0

  /** The entry's number, and whether it was added by this call. */
  add(digest: Uint8Array): { readonly entry: number; readonly added: boolean } {
    const key = (digest[0]! | (digest[1]! << 8) | (digest[2]! << 16) | (digest[3]! << 24)) >>> 0
    const mask = this.slots.length - 1
    for (let slot = key & mask; ; slot = (slot + 1) & mask) {
      const held = this.slots[slot]!
      if (held === EMPTY) {
        const entry = this.size
        this.slots[slot] = entry + 1
        this.append(digest, key)
        return { entry, added: true }
      }
      if (this.first[held - 1] === key && this.equals(held - 1, digest)) {
        return { entry: held - 1, added: false }
      }
    }
  }

  /** The digests of all entries in order, 32 bytes each; valid until the next add. */
  bytes(): Uint8Array {
    return this.digests.subarray(0, this.size * 32)
  }

  private equals(entry: number, digest: Uint8Array): boolean {
    const start = entry * 32
    for (let i = 4; i < 32; i++) if (this.digests[start + i] !== digest[i]) return false
    return true
  }

  private append(digest: Uint8Array, key: number): void {
    if (this.size === this.first.length) {
      const digests = new Uint8Array(this.digests.length * 2)
      digests.set(this.digests)
      this.digests = digests
      const first = new Uint32Array(this.first.length * 2)
      first.set(this.first)
      this.first = first
    }
    this.digests.set(digest, this.size * 32)
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
