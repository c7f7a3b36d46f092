import { normalCdf } from '../../../core/stats/normal.ts'
import type { SourceOdds } from './source-classifier.ts'

/** A statistic of the distance between two samples, and the probability of one as large by chance. */
export interface ShiftTest {
  readonly statistic: number
  readonly p: number
}

/**
 * Population stability index over the reference's deciles: sum of (a - b) ln(a / b). By convention, below .1
 * is stable and above .25 shifted.
 */
export function stabilityIndex(reference: Float64Array, recent: Float64Array): number {
  const cuts = quantiles(reference, 11).slice(1, -1)
  const shares = (values: Float64Array): number[] => {
    const counts = new Array<number>(cuts.length + 1).fill(0)
    for (const value of values) {
      let bin = 0
      while (bin < cuts.length && value >= cuts[bin]!) bin++
      counts[bin]!++
    }
    // adds half a row to each bin, so that an empty bin gives a finite term
    return counts.map((count) => (count + 0.5) / (values.length + 0.5 * counts.length))
  }
  const before = shares(reference)
  return shares(recent).reduce((sum, share, bin) => {
    return sum + (share - before[bin]!) * Math.log(share / before[bin]!)
  }, 0)
}

/** Two-sample Kolmogorov-Smirnov test; `rows` is the number of rows the reference summarises, if it is a summary. */
export function kolmogorovSmirnov(
  reference: Float64Array,
  recent: Float64Array,
  rows = reference.length,
): ShiftTest {
  const a = reference.slice().sort()
  const b = recent.slice().sort()
  let distance = 0
  let i = 0
  let j = 0
  while (i < a.length && j < b.length) {
    const at = Math.min(a[i]!, b[j]!)
    while (i < a.length && a[i]! <= at) i++
    while (j < b.length && b[j]! <= at) j++
    distance = Math.max(distance, Math.abs(i / a.length - j / b.length))
  }
  const effective = Math.sqrt((rows * b.length) / (rows + b.length))
  return {
    statistic: distance,
    p: kolmogorovTail((effective + 0.12 + 0.11 / effective) * distance),
  }
}

/** P(K > x) of Kolmogorov's distribution (Stephens 1970 for the argument above). */
function kolmogorovTail(x: number): number {
  if (x < 0.2) return 1
  let sum = 0
  for (let k = 1; k <= 100; k++) {
    const term = Math.exp(-2 * k * k * x * x)
    sum += k % 2 === 1 ? term : -term
    if (term < 1e-12) break
  }
  return Math.min(1, Math.max(0, 2 * sum))
}

/**
 * Classifier two-sample test (Lopez-Paz and Oquab 2017): the AUC of a cross-fitted classifier that separates
 * the samples, averaged over its folds; one-sided test against .5 with the rank sum's variance.
 */
export function classifierTest(odds: SourceOdds): ShiftTest {
  const n = odds.first.length
  let sum = 0
  let variance = 0
  let folds = 0
  const most = odds.fold.reduce((highest, fold) => Math.max(highest, fold), 0)
  for (let fold = 0; fold <= most; fold++) {
    const first = odds.first.filter((_, i) => odds.fold[i] === fold)
    const second = odds.second.filter((_, i) => odds.fold[n + i] === fold)
    if (first.length === 0 || second.length === 0) continue
    sum += rankSumAuc(first, second)
    variance += (first.length + second.length + 1) / (12 * first.length * second.length)
    folds++
  }
  const auc = sum / folds
  return { statistic: auc, p: normalCdf((0.5 - auc) / (Math.sqrt(variance) / folds)) }
}

/** P(second > first) + 1/2 P(equal). */
export function rankSumAuc(first: Float64Array, second: Float64Array): number {
  const a = first.slice().sort()
  let wins = 0
  for (const value of second) {
    const below = lowerBound(a, value, (x, y) => x < y)
    const upTo = lowerBound(a, value, (x, y) => x <= y)
    wins += (below + upTo) / 2
  }
  return wins / (first.length * second.length)
}

function lowerBound(
  sorted: Float64Array,
  value: number,
  before: (x: number, y: number) => boolean,
): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (before(sorted[middle]!, value)) low = middle + 1
    else high = middle
  }
  return low
}

/** `count` evenly spaced quantiles from the smallest to the largest value, interpolated. */
export function quantiles(values: Float64Array, count: number): number[] {
  const sorted = values.slice().sort()
  const last = sorted.length - 1
  return Array.from({ length: count }, (_, i) => {
    const at = (i / (count - 1)) * last
    const below = Math.floor(at)
    const next = Math.min(last, below + 1)
    return sorted[below]! + (at - below) * (sorted[next]! - sorted[below]!)
  })
}
