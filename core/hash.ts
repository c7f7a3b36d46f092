import { hash } from 'node:crypto'

/**
 * Two 32-bit multiplicative hashes with MurmurHash3's final mixing: 64 bits, not collision-resistant against
 * adversaries. UTF-16 units and bytes of ASCII text give the same hash. Writes the low and high word to
 * `out`.
 */
export function hashText(text: string, seed: number, out: Uint32Array): void {
  let a = 0xdeadbeef ^ seed
  let b = 0x41c6ce57 ^ seed
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, 0x9e3779b1)
    b = Math.imul(b ^ unit, 0x5f356495)
  }
  finish(a, b, out)
}

export function hashBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  seed: number,
  out: Uint32Array,
): void {
  let a = 0xdeadbeef ^ seed
  let b = 0x41c6ce57 ^ seed
  for (let i = start; i < end; i++) {
    const unit = bytes[i]!
    a = Math.imul(a ^ unit, 0x9e3779b1)
    b = Math.imul(b ^ unit, 0x5f356495)
  }
  finish(a, b, out)
}

function finish(a: number, b: number, out: Uint32Array): void {
  const low = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  const high = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(low ^ (low >>> 13), 0xc2b2ae35)
  out[0] = low ^ (low >>> 16)
  out[1] = high ^ (high >>> 16)
}

/** The hash as a number in [0, 1), using 53 bits. */
export function unitInterval(hash: Uint32Array): number {
  return (hash[1]! * 0x20_0000 + (hash[0]! >>> 11)) / 2 ** 53
}

/** SHA-256 of the prompt's exact text as UTF-8, in hex; identifies a prompt everywhere. */
export function promptHash(text: string): string {
  return hash('sha256', text, 'hex')
}

/**
 * Maps a unit, such as a session, to a point in [0, 1) for one purpose: 52 bits of a SHA-256, so the point is
 * the same at all times and on all machines, and independent of the points for other purposes.
 */
export function placeOf(purpose: string, unit: string): number {
  return Number.parseInt(promptHash(`${purpose}\n${unit}`).slice(0, 13), 16) / 2 ** 52
}

/**
 * Hex digits that a bundle stores of each training prompt's hash: 64 bits, about 1e-8 false matches in a
 * million rows.
 */
export const HASH_PREFIX_LENGTH = 16
