/** log Gamma(x) for x > 0 (Lanczos, g = 7, 9 terms), with relative error 1e-14. */
export function logGamma(x: number): number {
  let sum = LANCZOS[0]!
  for (let i = 1; i < LANCZOS.length; i++) sum += LANCZOS[i]! / (x - 1 + i)
  const t = x + 6.5
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum)
}

const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
  -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6,
  1.5056327351493116e-7,
]

/**
 * Regularised incomplete beta I_x(a, b): the continued fraction of DLMF 8.17.22 and 8.17.23, by the modified
 * Lentz algorithm (Thompson and Barnett 1986).
 */
export function betaCdf(x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  if (x > (a + 1) / (a + b + 2)) return 1 - betaCdf(1 - x, b, a)
  const front = Math.exp(
    logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x),
  )
  return (front * continuedFraction(x, a, b)) / a
}

function continuedFraction(x: number, a: number, b: number): number {
  const tiny = 1e-300
  const guard = (value: number): number => (Math.abs(value) < tiny ? tiny : value)
  let c = 1
  let d = 1 / guard(1 - ((a + b) * x) / (a + 1))
  let result = d
  for (let m = 1; m < 10_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / guard(1 + even * d)
    c = guard(1 + even / c)
    result *= d * c
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / guard(1 + odd * d)
    c = guard(1 + odd / c)
    const change = d * c
    result *= change
    if (Math.abs(change - 1) < 1e-15) break
  }
  return result
}

/** The x with I_x(a, b) = p, by bisection: monotone, so it cannot fail. */
export function betaQuantile(p: number, a: number, b: number): number {
  let low = 0
  let high = 1
  for (let i = 0; i < 200 && high - low > 1e-16; i++) {
    const middle = (low + high) / 2
    if (betaCdf(middle, a, b) < p) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** The point below which Student's t with `freedom` (above 0, may be fractional) lies with probability p, from .5. */
export function studentQuantile(p: number, freedom: number): number {
  const x = betaQuantile(2 * (1 - p), freedom / 2, 0.5)
  return Math.sqrt((freedom * (1 - x)) / x)
}

/** P(X <= k) for X ~ Binomial(n, p). */
export function binomialCdf(k: number, n: number, p: number): number {
  if (k < 0) return 0
  if (k >= n) return 1
  return betaCdf(1 - p, n - Math.floor(k), Math.floor(k) + 1)
}
