/** The ids met so far, as 64-bit hashes in typed arrays: eight bytes an id at half load, not an object. */
export class EventIds {
  private slots = new Uint32Array(1 << 13)
  private size = 0

  /** False where the id was met before; never given two zeros. Two different ids are taken for one with odds of 2^-64 a pair. */
  add(low: number, high: number): boolean {
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
