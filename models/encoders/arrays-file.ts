import { WeirError } from '../../core/errors.ts'

/** Typed arrays by name in one file: a JSON header, then each array's bytes (little-endian) at a multiple of 8. */
export type NamedArrays = Readonly<Record<string, NumericArray>>
export type NumericArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int32Array
  | Uint32Array

const KINDS = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int32: Int32Array,
  uint32: Uint32Array,
} as const
type Kind = keyof typeof KINDS

interface Entry {
  readonly name: string
  readonly kind: Kind
  readonly length: number
}

const align = (n: number): number => Math.ceil(n / 8) * 8

export function encodeArrays(arrays: NamedArrays): Uint8Array {
  const entries: Entry[] = Object.entries(arrays).map(([name, array]) => ({
    name,
    kind: kindOf(array),
    length: array.length,
  }))
  const header = new TextEncoder().encode(JSON.stringify(entries))
  let size = align(4 + header.length)
  for (const array of Object.values(arrays)) size += align(array.byteLength)
  const bytes = new Uint8Array(size)
  new DataView(bytes.buffer).setUint32(0, header.length, true)
  bytes.set(header, 4)
  let at = align(4 + header.length)
  for (const array of Object.values(arrays)) {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at)
    at += align(array.byteLength)
  }
  return bytes
}

/** @param path the file named in the error if it is damaged (`bundle_invalid`) */
export function decodeArrays(bytes: Uint8Array, path: string): Record<string, NumericArray> {
  const refuse = (reason: string): never => {
    throw new WeirError('bundle_invalid', { path, reason })
  }
  if (bytes.length < 4) return refuse('it is too short to hold arrays')
  // copied to offset 0, since a Buffer from a pool may not be aligned
  const buffer = bytes.slice().buffer
  const headerLength = new DataView(buffer).getUint32(0, true)
  if (4 + headerLength > bytes.length) return refuse('its header is cut')
  const entries = JSON.parse(
    new TextDecoder().decode(new Uint8Array(buffer, 4, headerLength)),
  ) as Entry[]
  let at = align(4 + headerLength)
  const arrays: Record<string, NumericArray> = {}
  for (const { name, kind, length } of entries) {
    const size = length * KINDS[kind].BYTES_PER_ELEMENT
    if (at + size > bytes.length) return refuse(`its array ${name} is cut`)
    arrays[name] = new KINDS[kind](buffer, at, length)
    at += align(size)
  }
  return arrays
}

function kindOf(array: NumericArray): Kind {
  for (const [kind, arrayClass] of Object.entries(KINDS)) {
    if (array instanceof arrayClass) return kind as Kind
  }
  throw new TypeError('not a numeric array')
}
