/** One field of a Protocol Buffers message, its value as it stands in the bytes. */
export interface WireField {
  readonly number: number
  /** 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes */
  readonly type: number
  /** the value's bytes; of a length-delimited field without its length */
  readonly bytes: Uint8Array
}

const FIXED: Readonly<Record<number, number>> = { 1: 8, 5: 4 }

/** The fields of a message in their order. Throws RangeError where the bytes are not a whole message. */
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

/** The message that holds the given fields. */
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
