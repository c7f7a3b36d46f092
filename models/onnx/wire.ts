/** Protocol Buffers wire format: the three encodings that ONNX needs (protobuf.dev/programming-guides/encoding). */
export class WireWriter {
  private buffer = new Uint8Array(1024)
  private length = 0

  /** A copy of the bytes written so far. */
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

  /** Negative numbers are ten bytes of two's complement, as int64 fields require. */
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

/** One field of a Protocol Buffers message, with its value as raw bytes. */
export interface WireField {
  readonly number: number
  /** 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes */
  readonly type: number
  /** the value's bytes; without the length if length-delimited */
  readonly bytes: Uint8Array
}

const FIXED: Readonly<Record<number, number>> = { 1: 8, 5: 4 }

/** The fields of a message in order. Throws RangeError if the bytes are not a whole message. */
export function readFields(message: Uint8Array): WireField[] {
  const fields: WireField[] = []
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++]
      if (byte === undefined) throw new RangeError('a field ends early')
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  while (at < message.length) {
    const tag = varint()
    const type = tag % 8
    const start = at
    let length = FIXED[type]
    if (type === 0) {
      varint()
      length = at - start
      at = start
    } else if (type === 2) length = varint()
    if (length === undefined) throw new RangeError(`unknown wire type ${type}`)
    if (at + length > message.length) throw new RangeError('a field ends early')
    fields.push({ number: Math.floor(tag / 8), type, bytes: message.subarray(at, at + length) })
    at += length
  }
  return fields
}

/** Encodes a message with the given fields. */
export function writeFields(fields: readonly WireField[]): Uint8Array {
  const parts: Uint8Array[] = []
  for (const { number, type, bytes } of fields) {
    parts.push(varintBytes(number * 8 + type))
    if (type === 2) parts.push(varintBytes(bytes.length))
    parts.push(bytes)
  }
  return new Uint8Array(Buffer.concat(parts))
}

function varintBytes(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  while (rest > 127) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
  return Uint8Array.from(bytes)
}
