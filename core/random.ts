/**
 * The project's only source of randomness: xoshiro128** (Blackman and Vigna 2018) seeded through
 * splitmix32, so that one seed gives the same numbers on every machine and Node version.
 */
export interface Random {
  /** Uniform in [0, 1), with 32 random bits. */
  next(): number
  /** Uniform integer in [0, n). */
  int(n: number): number
  /** Standard normal (Box-Muller). */
  normal(): number
  /**
   * Draws `counts.length` integers below that length with replacement; `counts[i]` becomes the count of i.
   */
  resample(counts: Uint8Array): void
  /** Fisher-Yates, in place. */
  shuffle<T extends Int32Array | Uint32Array | unknown[]>(items: T): T
}

export function createRandom(seed: number): Random {
  const state = new Uint32Array(4)
  let mix = seed >>> 0
  for (let i = 0; i < 4; i++) {
    mix = (mix + 0x9e3779b9) >>> 0
    let z = mix
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    state[i] = z ^ (z >>> 15)
  }

  const bits = (): number => {
    const s1 = state[1]!
    const product = Math.imul(s1, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0
    state[2] = state[2]! ^ state[0]!
    state[3] = state[3]! ^ s1
    state[1] = s1 ^ state[2]!
    state[0] = state[0]! ^ state[3]!
    state[2] = state[2]! ^ (s1 << 9)
    state[3] = (state[3]! << 11) | (state[3]! >>> 21)
    return result
  }
  const next = (): number => bits() / 0x1_0000_0000

  let spare: number | undefined
  const normal = (): number => {
    if (spare !== undefined) {
      const value = spare
      spare = undefined
      return value
    }
    const radius = Math.sqrt(-2 * Math.log(1 - next()))
    const angle = 2 * Math.PI * next()
    spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }

  const int = (n: number): number => Math.floor(next() * n)

  // the same stream as `int`, in one loop, because a bootstrap draws hundreds of millions
  const resample = (counts: Uint8Array): void => {
    const n = counts.length
    counts.fill(0)
    let s0 = state[0]! | 0
    let s1 = state[1]! | 0
    let s2 = state[2]! | 0
    let s3 = state[3]! | 0
    for (let i = 0; i < n; i++) {
      const product = Math.imul(s1, 5)
      const drawn = Math.imul((product << 7) | (product >>> 25), 9) >>> 0
      const shifted = s1 << 9
      s2 ^= s0
      s3 ^= s1
      s1 ^= s2
      s0 ^= s3
      s2 ^= shifted
      s3 = (s3 << 11) | (s3 >>> 21)
      counts[Math.floor((drawn / 0x1_0000_0000) * n)]! += 1
    }
    state[0] = s0
    state[1] = s1
    state[2] = s2
    state[3] = s3
  }

  return {
    next,
    int,
    normal,
    resample,
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = int(i + 1)
        const kept = items[i]!
        items[i] = items[j]!
        items[j] = kept
      }
      return items
    },
  }
}

/** A seed for one named purpose, so that adding a consumer never changes another one's numbers (FNV-1a). */
export function deriveSeed(seed: number, purpose: string): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0
  for (let i = 0; i < purpose.length; i++) {
    hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193) >>> 0
  }
  return hash
}
