type NumberArray = Uint8Array | Int32Array | Uint32Array | Float32Array | Float64Array

/** Less than doubling, because old and new are in memory together. */
const GROWTH = 1.5

/** A typed array that grows, for millions of numbers without an object each. */
export class Growable<T extends NumberArray> {
  private values: T
  length = 0
  private readonly kind: new (
    length: number,
  ) => T

  constructor(kind: new (length: number) => T, capacity = 1024) {
    this.kind = kind
    this.values = new kind(capacity)
  }

  push(value: number): void {
    if (this.length === this.values.length) this.grow(this.length + 1)
    this.values[this.length++] = value
  }

  /** Returns the array, with room for `more` numbers after `length`; write there, then call `added`. */
  reserve(more: number): T {
    if (this.length + more > this.values.length) this.grow(this.length + more)
    return this.values
  }

  added(count: number): void {
    this.length += count
  }

  at(index: number): number {
    return this.values[index]!
  }

  set(index: number, value: number): void {
    this.values[index] = value
  }

  /** Extends it to `length`, filling new elements with `fill`. */
  extend(length: number, fill = 0): void {
    if (length <= this.length) return
    if (length > this.values.length) this.grow(length)
    this.values.fill(fill, this.length, length)
    this.length = length
  }

  /** Its contents without a copy; valid until the next push. */
  view(): T {
    return this.values.subarray(0, this.length) as T
  }

  private grow(needed: number): void {
    const grown = new this.kind(Math.max(needed, Math.ceil(this.values.length * GROWTH)))
    grown.set(this.values)
    this.values = grown
  }
}
