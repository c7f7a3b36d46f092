import { betaCdf, logGamma } from '../../../core/stats/beta.ts'
import { normalQuantile } from '../../../core/stats/normal.ts'
import type { BoundTest } from './bounds.ts'

/**
 * Exact unconditional test of a net loss between paired 0/1 outcomes, with values -1, 0 or 1 (Hsueh, Liu and
 * Chen 2001, Biometrics 57:478): it rejects if Tango's score statistic exceeds a cut at which the exact
 * probability of rejecting, over all discordance rates with a net loss of `mean`, is at most delta.
 */
export const pairedExact: BoundTest = {
  name: 'paired-exact',
  values: 'ternary',
  rejects(values, { mean, delta }) {
    if (mean >= 1) return true
    let losses = 0
    let gains = 0
    for (let i = 0; i < values.length; i++) {
      if (values[i]! > 0) losses++
      else if (values[i]! < 0) gains++
    }
    return (
      scoreStatistic(losses, gains, values.length, mean) <= -exactCut(values.length, mean, delta)
    )
  },
}

/**
 * (b - c - n m) divided by its standard deviation, with the discordance rate fitted under a net loss of m
 * (Tango 1998); b rows lose, c rows gain.
 */
export function scoreStatistic(b: number, c: number, n: number, m: number): number {
  const k = b * (1 - m) + c * (1 - 3 * m) - 2 * m * (n - b - c)
  const rate = (k + Math.sqrt(k * k + 8 * n * c * m * (1 - m))) / (4 * n)
  const variance = n * (2 * rate + m - m * m)
  const distance = b - c - n * m
  return variance > 0 ? distance / Math.sqrt(variance) : distance > 0 ? Infinity : 0
}

const cuts = new Map<string, number>()

/** The smallest cut whose exact size is at most delta: by bisection, cached per (n, m, delta). */
export function exactCut(n: number, m: number, delta: number): number {
  const key = `${n} ${m} ${delta}`
  const known = cuts.get(key)
  if (known !== undefined) return known
  let low = 0.8 * normalQuantile(1 - delta)
  let high = 3 * normalQuantile(1 - delta) + 1
  for (let step = 0; step < CUT_STEPS; step++) {
    const middle = (low + high) / 2
    if (largestSize(n, m, middle) > delta) low = middle
    else high = middle
  }
  cuts.set(key, high)
  return high
}

const CUT_STEPS = 14
/**
 * Number of discordance rates at which the size is computed, evenly spaced in the square root, since the size
 * oscillates near 0.
 */
const RATES = 60

/** The largest probability of rejecting at a net loss of m. It decreases in the loss, so above m it is smaller. */
export function largestSize(n: number, m: number, cut: number, rates = RATES): number {
  const limits = new Map<number, number>()
  let largest = 0
  for (let i = 0; i <= rates; i++) {
    const gainRate = ((1 - m) / 2) * (i / rates) ** 2
    largest = Math.max(largest, size(n, m, cut, gainRate, limits))
  }
  return largest
}

/** P(reject) at one discordance rate: a sum over the number of discordant rows and their direction (binomial). */
function size(
  n: number,
  m: number,
  cut: number,
  gainRate: number,
  limits: Map<number, number>,
): number {
  const rate = 2 * gainRate + m
  if (rate <= 0) return 1
  const towards = (gainRate + m) / rate
  const reach = 7 * Math.sqrt(n * rate * (1 - rate)) + 7
  const from = Math.max(0, Math.floor(n * rate - reach))
  const to = Math.min(n, Math.ceil(n * rate + reach))
  let total = 0
  for (let discordant = from; discordant <= to; discordant++) {
    const weight = binomialPoint(discordant, n, rate)
    if (weight < 1e-12) continue
    let most = limits.get(discordant)
    if (most === undefined) {
      most = mostLosses(discordant, n, m, cut)
      limits.set(discordant, most)
    }
    if (most < 0) continue
    const below = most >= discordant ? 1 : betaCdf(1 - towards, discordant - most, most + 1)
    total += weight * below
  }
  return total
}

/** The largest number of losing rows among the discordant ones with which the test still rejects; -1 for none. */
function mostLosses(discordant: number, n: number, m: number, cut: number): number {
  let low = -1
  let high = discordant + 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (scoreStatistic(middle, discordant - middle, n, m) <= -cut) low = middle
    else high = middle
  }
  return low
}

function binomialPoint(k: number, n: number, p: number): number {
  if (p >= 1) return k === n ? 1 : 0
  const choices = logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1)
  return Math.exp(choices + k * Math.log(p) + (n - k) * Math.log1p(-p))
}
