import { deriveSeed } from '../../core/random.ts'
import type { Embeddings } from '../encoders/embeddings.ts'

/**
 * Compresses one row to `size` numbers (count sketch, Charikar et al. 2002; Weinberger et al. 2009). The row
 * is scaled to length 1, then each coordinate is added, with a sign, to one of `size` positions; a hash of
 * its index chooses both. Inner products are preserved on average, so a linear head on the sketch
 * approximates one on the embedding.
 *
 * @param out receives `size` numbers starting at index `at`; these are overwritten
 */
export function sketchRow(
  embeddings: Embeddings,
  row: number,
  out: Float32Array,
  at: number,
  size: number,
): void {
  out.fill(0, at, at + size)
  let squares = 0
  const add = (coordinate: number, value: number): void => {
    squares += value * value
    const hash = deriveSeed(coordinate, 'sketch')
    out[at + ((hash >>> 1) % size)]! += hash & 1 ? value : -value
  }
  if (embeddings.kind === 'dense') {
    const { dimension: d, values } = embeddings
    // no sketch is needed if the row fits
    if (d <= size) {
      for (let j = 0; j < d; j++) {
        const value = values[row * d + j]!
        squares += value * value
        out[at + j] = value
      }
    } else for (let j = 0; j < d; j++) add(j, values[row * d + j]!)
  } else {
    const { offsets, ids, weights } = embeddings
    for (let k = offsets[row]!; k < offsets[row + 1]!; k++) add(ids[k]!, weights[k]!)
  }
  if (squares === 0) return
  const scale = 1 / Math.sqrt(squares)
  for (let j = at; j < at + size; j++) out[j]! *= scale
}
