/** The ids met so far, as 64-bit hashes in typed arrays: eight bytes an id at half load, not an object. */
export class EventIds {
  private slots = new Uint32Array(1 << 13)
  private size = 0

  /** False where the id was met before. Two different ids are taken for one with odds of 2^-64 a pair. */
  add(id: string): boolean {
    const [low, high] = hash64(id)
    if (!insert(this.slots, low, high)) return false
    if (++this.size * 4 > this.slots.length) this.grow()
    return true
  }

  private grow(): void {
    const slots = new Uint32Array(this.slots.length * 2)
    for (let i = 0; i < this.slots.length; i += 2) {
      const low = this.slots[i]!
      const high = this.slots[i + 1]!
      if (low !== 0 || high !== 0) insert(slots, low, high)
    }
    this.slots = slots
  }
}

function insert(slots: Uint32Array, low: number, high: number): boolean {
  const mask = slots.length / 2 - 1
  for (let slot = low & mask; ; slot = (slot + 1) & mask) {
    const heldLow = slots[slot * 2]!
    const heldHigh = slots[slot * 2 + 1]!
    if (heldLow === 0 && heldHigh === 0) {
      slots[slot * 2] = low
      slots[slot * 2 + 1] = high
      return true
    }
    if (heldLow === low && heldHigh === high) return false
  }
}

/** Two multiplicative hashes with final mixing (MurmurHash3's constants), never both zero. */
function hash64(text: string): [number, number] {
  let a = 0xdeadbeef
  let b = 0x41c6ce57
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, 0x9e3779b1)
    b = Math.imul(b ^ unit, 0x5f356495)
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return [a >>> 0, b >>> 0 || 1]
}
