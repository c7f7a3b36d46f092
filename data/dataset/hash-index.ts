const EMPTY = 0

/** Words of a digest that are held and compared. */
const WORDS = 4
/** Entries whose words lie in one array: growing copies none of them. */
const CHUNK_BITS = 16

/**
 * Maps a SHA-256 digest to its number: open addressing over typed arrays, about 25 bytes per entry. The first 128 bits
 * are compared: among a billion prompts two that differ are taken for one with probability 2e-21.
 */
export class HashIndex {
  /** entry number + 1, or EMPTY */
  private slots = new Uint32Array(1 << 12)
  private readonly chunks: Uint32Array[] = []
  private readonly wanted = new Uint32Array(WORDS)
  size = 0

  /** The number of the digest at `from`; a new digest gets the next number. */
  add(digests: Uint8Array, from: number): number {
    const { wanted } = this
    for (let word = 0; word < WORDS; word++) {
      const at = from + word * 4
      wanted[word] =
        (digests[at]! << 24) | (digests[at + 1]! << 16) | (digests[at + 2]! << 8) | digests[at + 3]!
    }
    const mask = this.slots.length - 1
    for (let slot = wanted[0]! & mask; ; slot = (slot + 1) & mask) {
      const held = this.slots[slot]!
      if (held === EMPTY) {
        this.slots[slot] = this.size + 1
        this.append()
        return this.size - 1
      }
      if (this.equals(held - 1)) return held - 1
    }
  }

  /** First 32 bits of an entry's digest. */
  keyOf(entry: number): number {
    return this.chunks[entry >>> CHUNK_BITS]![(entry % (1 << CHUNK_BITS)) * WORDS]!
  }

  private equals(entry: number): boolean {
    const chunk = this.chunks[entry >>> CHUNK_BITS]!
    const at = (entry % (1 << CHUNK_BITS)) * WORDS
    for (let word = 0; word < WORDS; word++) {
      if (chunk[at + word] !== this.wanted[word]) return false
    }
    return true
  }

  private append(): void {
    const chunk = this.size >>> CHUNK_BITS
    if (chunk === this.chunks.length) this.chunks.push(new Uint32Array(WORDS << CHUNK_BITS))
    this.chunks[chunk]!.set(this.wanted, (this.size % (1 << CHUNK_BITS)) * WORDS)
    this.size++
    if (this.size * 2 > this.slots.length) this.rehash()
  }

  private rehash(): void {
    const slots = new Uint32Array(this.slots.length * 2)
    const mask = slots.length - 1
    for (let entry = 0; entry < this.size; entry++) {
      let slot = this.keyOf(entry) & mask
      while (slots[slot] !== EMPTY) slot = (slot + 1) & mask
      slots[slot] = entry + 1
    }
    this.slots = slots
  }
}
