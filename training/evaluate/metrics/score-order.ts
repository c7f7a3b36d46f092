import { WeirError } from '../../../core/errors.ts'

/** The order in which a router sends prompts to the strong model as its threshold falls. */
export interface ScoreOrder {
  /** n: prompt indices by descending score, equal scores in prompt order */
  readonly order: Uint32Array
  /** n: 1 if the next position holds a lower score (and at the last position): equal scores move together */
  readonly groupEnd: Uint8Array
}

const RADIX_FROM = 4096

/** O(n log n) for few prompts, a stable radix sort on the bits of the scores for many. Refuses NaN. */
export function sortScores(scores: ArrayLike<number>, name = 'a router'): ScoreOrder {
  const n = scores.length
  const keys = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const score = scores[i]!
    if (Number.isNaN(score)) {
      throw new WeirError('evaluation_invalid', {
        expected: `a number as every score of ${name}`,
        got: `NaN at prompt ${i}`,
      })
    }
    keys[i] = score + 0 // -0 becomes 0, whose bits differ
  }
  const order = n < RADIX_FROM ? compareSort(keys) : radixSort(keys)
  const groupEnd = new Uint8Array(n)
  for (let i = 0; i < n; i++) {
    if (i === n - 1 || keys[order[i]!] !== keys[order[i + 1]!]) groupEnd[i] = 1
  }
  return { order, groupEnd }
}

function compareSort(keys: Float64Array): Uint32Array {
  const order = new Uint32Array(keys.length)
  for (let i = 0; i < order.length; i++) order[i] = i
  return order.sort((a, b) => keys[b]! - keys[a]! || a - b)
}

/** Least significant digit first, 16 bits per pass; passes in which all keys have the same digit are skipped. */
function radixSort(keys: Float64Array): Uint32Array {
  const n = keys.length
  const bits = descendingBits(keys)
  let from = new Uint32Array(n)
  let to = new Uint32Array(n)
  for (let i = 0; i < n; i++) from[i] = i
  const starts = new Uint32Array(65_536)
  for (let digit = 0; digit < 4; digit++) {
    starts.fill(0)
    for (let i = 0; i < n; i++) starts[bits[i * 4 + digit]!]! += 1
    if (starts[bits[digit]!] === n) continue
    let sum = 0
    for (let value = 0; value < 65_536; value++) {
      const count = starts[value]!
      starts[value] = sum
      sum += count
    }
    for (let i = 0; i < n; i++) {
      const prompt = from[i]!
      const value = bits[prompt * 4 + digit]!
      to[starts[value]!] = prompt
      starts[value]! += 1
    }
    const kept = from
    from = to
    to = kept
  }
  return from
}

/** Four 16-bit digits per key, lowest first, whose unsigned order is the keys' descending order. */
function descendingBits(keys: Float64Array): Uint16Array {
  const bits = new Uint16Array(keys.buffer.slice(0))
  for (let i = 3; i < bits.length; i += 4) {
    if (bits[i]! & 0x8000) continue // negative: its bits already grow as the number falls
    for (let j = i - 3; j < i; j++) bits[j] = ~bits[j]!
    bits[i] = ~bits[i]! & 0x7fff
  }
  return bits
}

/** 1 - (place - 1/2) / n of each prompt; prompts with equal scores share the middle of their places. */
export function lateness({ order, groupEnd }: ScoreOrder): Float64Array {
  const n = order.length
  const weights = new Float64Array(n)
  for (let i = 0, from = 0; i < n; i++) {
    if (groupEnd[i] !== 1) continue
    for (let k = from; k <= i; k++) weights[order[k]!] = 1 - (from + i + 1) / (2 * n)
    from = i + 1
  }
  return weights
}
