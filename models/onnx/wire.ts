/** Protocol Buffers wire format: the three encodings that ONNX needs (protobuf.dev/programming-guides/encoding). */
export class WireWriter {
  private buffer = new Uint8Array(1024)
  private length = 0

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.buffer.slice(0, this.length)
  }

  varint(field: number, value: number): void {
    this.tag(field, 0)
    this.number(value)
  }

  float(field: number, value: number): void {
    this.tag(field, 5)
    this.reserve(4)
    new DataView(this.buffer.buffer).setFloat32(this.length, value, true)
    this.length += 4
  }

  text(field: number, value: string): void {
    this.bytes(field, new TextEncoder().encode(value))
  }

  bytes(field: number, value: Uint8Array): void {
    this.tag(field, 2)
    this.number(value.length)
    this.reserve(value.length)
    this.buffer.set(value, this.length)
    this.length += value.length
  }

  message(field: number, write: (writer: WireWriter) => void): void {
    const inner = new WireWriter()
    write(inner)
    this.bytes(field, inner.buffer.subarray(0, inner.length))
  }

  private tag(field: number, type: number): void {
    this.number(field * 8 + type)
  }

  /** Negative numbers are ten bytes of two's complement, as int64 fields want them. */
  private number(value: number): void {
    this.reserve(10)
    let rest = BigInt.asUintN(64, BigInt(value))
    while (rest > 127n) {
      this.buffer[this.length++] = Number(rest & 127n) | 128
      rest >>= 7n
    }
    this.buffer[this.length++] = Number(rest)
  }

  private reserve(more: number): void {
    if (this.length + more <= this.buffer.length) return
    const grown = new Uint8Array(Math.max(this.buffer.length * 2, this.length + more))
    grown.set(this.buffer.subarray(0, this.length))
    this.buffer = grown
  }
}
