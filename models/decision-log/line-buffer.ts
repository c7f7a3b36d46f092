/**
 * Lines gathered as bytes. Kept as strings they would be small pieces that outlive a collection of
 * young objects or two: written down at once, they cost the collector nothing.
 */
export class LineBuffer {
  /** lines gathered */
  lines = 0
  /** bytes gathered */
  length = 0
  private bytes = Buffer.allocUnsafe(START)

  /** @param line without its newline */
  add(line: string): void {
    // a UTF-16 unit is at most three bytes of UTF-8
    const needed = this.length + 3 * line.length + 1
    if (needed > this.bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.bytes.length))
      this.bytes.copy(grown, 0, 0, this.length)
      this.bytes = grown
    }
    this.length += this.bytes.write(line, this.length, 'utf8')
    this.bytes[this.length++] = NEWLINE
    this.lines++
  }

  /** What was gathered, as the caller's own; begins anew. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.length)
    this.bytes = Buffer.allocUnsafe(Math.max(START, Math.min(this.bytes.length, KEEP)))
    this.length = 0
    this.lines = 0
    return taken
  }
}

const START = 1 << 16
/** A burst does not keep its memory for ever. */
const KEEP = 1 << 20
const NEWLINE = 10
