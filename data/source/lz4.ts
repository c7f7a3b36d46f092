/**
 * Decodes LZ4 frames (the LZ4 Frame Format, 1.6.x), including blocks that refer to earlier ones, as Arrow
 * compresses buffers. Checksums are not verified.
 *
 * @throws Error if the bytes are not LZ4 frames, or end early
 */
export function decodeLz4Frames(input: Uint8Array): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength)
  let out = new Uint8Array(Math.max(1024, input.length * 4))
  let size = 0
  let at = 0
  const room = (more: number): void => {
    if (size + more <= out.length) return
    const larger = new Uint8Array(Math.max(size + more, out.length * 2))
    larger.set(out.subarray(0, size))
    out = larger
  }
  const need = (bytes: number): void => {
    if (at + bytes > input.length) throw new Error('the LZ4 frame ends early')
  }
  while (at < input.length) {
    need(4)
    const magic = view.getUint32(at, true)
    at += 4
    if (magic >>> 4 === 0x184d2a5) {
      need(4)
      at += 4 + view.getUint32(at, true)
      continue
    }
    if (magic !== 0x184d2204) throw new Error('expected an LZ4 frame')
    need(3)
    const flags = input[at]!
    const [blockChecksum, hasSize, contentChecksum, dictionary] = [0x10, 0x08, 0x04, 0x01].map(
      (bit) => (flags & bit) !== 0,
    )
    at += 2 + (hasSize ? 8 : 0) + (dictionary ? 4 : 0) + 1
    for (;;) {
      need(4)
      const header = view.getUint32(at, true)
      at += 4
      if (header === 0) break
      const length = header & 0x7fffffff
      need(length)
      const block = input.subarray(at, at + length)
      if (header >>> 31 === 1) {
        room(length)
        out.set(block, size)
        size += length
      } else decodeBlock(block)
      at += length + (blockChecksum ? 4 : 0)
    }
    if (contentChecksum) at += 4
  }
  return out.subarray(0, size)

  function decodeBlock(block: Uint8Array): void {
    let from = 0
    const lengthFrom = (nibble: number): number => {
      let length = nibble
      if (nibble === 15) {
        let byte = 255
        while (byte === 255) {
          if (from >= block.length) throw new Error('the LZ4 block ends early')
          byte = block[from++]!
          length += byte
        }
      }
      return length
    }
    while (from < block.length) {
      const token = block[from++]!
      const literals = lengthFrom(token >> 4)
      if (from + literals > block.length) throw new Error('the LZ4 block ends early')
      room(literals)
      out.set(block.subarray(from, from + literals), size)
      size += literals
      from += literals
      if (from >= block.length) return
      if (from + 2 > block.length) throw new Error('the LZ4 block ends early')
      const offset = block[from]! | (block[from + 1]! << 8)
      from += 2
      if (offset === 0 || offset > size) throw new Error('an LZ4 block refers to before its start')
      const length = lengthFrom(token & 15) + 4
      room(length)
      // byte by byte, because a match may overlap what it writes
      for (let end = size + length; size < end; size++) out[size] = out[size - offset]!
    }
  }
}
