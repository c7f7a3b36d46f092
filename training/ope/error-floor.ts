import { studentQuantile } from '../../core/stats/beta.ts'
import type { PartialInterval } from '../../core/stats/intervals.ts'
import { Z_95 } from '../../core/stats/normal.ts'
import {
  type Coefficient,
  effectiveAnswers,
  type LeastError,
  type SingleRows,
  takeSingleRows,
} from './sensitivity.ts'

/**
 * The least error of means of estimated scores. What an answer with weight w = 1 / propensity adds to the variance is
 * (w (y - q))^2, with its score y and the predicted one q. Where few answers weigh most and all of these went one way,
 * that is far below its expectation w^2 q (1 - q): then the expectation counts. With few effective answers a variance
 * is itself uncertain, so intervals are Student's with their number less one as degrees of freedom.
 */
export interface ErrorFloor extends LeastError {
  /** the 95% interval of a mean over all rows (or of a figure that is nearly one), no narrower than it has to be */
  widen(interval: PartialInterval, of: Coefficient): PartialInterval
}

/** @param among the rows that figures are means over; all by default */
export function errorFloor(rows: SingleRows, among?: ArrayLike<number>): ErrorFloor {
  const own = among ? takeSingleRows(rows, among) : rows
  const excess = excessVariance(own)
  const n = own.asked.length
  const paired = own.asked.reduce((sum, code) => sum + (code === 2 ? 1 : 0), 0)
  const { strong, weak } = effectiveAnswers(own)
  const freedom = Math.max(1, Math.min(strong, weak) + paired - 1)
  const stretch = excess ? studentQuantile(0.975, freedom) / Z_95 : 1
  const added = (of: Coefficient): number => {
    if (!excess) return 0
    let sum = 0
    for (let i = 0; i < n; i++) {
      const model = own.asked[i] === 1 ? 0 : 1
      if (excess[i] !== 0) sum += of(i, model) ** 2 * excess[i]!
    }
    return Math.max(0, sum) / (n * n)
  }
  return {
    stretch,
    added,
    widen: (interval, of) => widened(interval, added(of), stretch),
  }
}

/** Both ends further from the value, as a variance that is larger by `added` and a wider quantile ask for. */
export function widened(
  { value, low, high }: PartialInterval,
  added: number,
  stretch: number,
): PartialInterval {
  if (value === null || low === null || high === null) return { value, low, high }
  const error = (high - low) / (2 * Z_95)
  if (!(error > 0)) {
    const half = Z_95 * stretch * Math.sqrt(added)
    return { value, low: low - half, high: high + half }
  }
  const factor = stretch * Math.sqrt(1 + added / (error * error))
  return { value, low: value - factor * (value - low), high: value + factor * (high - value) }
}

/**
 * n: by how much the variance that is expected of each answer is above what it showed; undefined without single
 * answers. Graded scores vary less than 0 and 1 do: by the factor that all of the model's answers, unweighted, show.
 */
function excessVariance({
  asked,
  score,
  observed,
  predicted,
}: SingleRows): Float64Array | undefined {
  const shown = [0, 0]
  const expected = [0, 0]
  const isGraded = [false, false]
  const each = (visit: (row: number, model: 0 | 1, q: number, miss: number) => void): void => {
    for (let i = 0; i < asked.length; i++) {
      if (asked[i] !== 0 && asked[i] !== 1) continue
      const model = asked[i] === 1 ? 0 : 1
      const q = Math.min(1, Math.max(0, predicted[2 * i + model]!))
      visit(i, model, q, score[i]! - q)
    }
  }
  each((row, model, q, miss) => {
    shown[model]! += miss * miss
    expected[model]! += q * (1 - q)
    if (score[row]! > 0 && score[row]! < 1) isGraded[model] = true
  })
  if (!(expected[0]! + expected[1]! > 0)) return undefined
  const excess = new Float64Array(asked.length)
  each((i, model, q, miss) => {
    const graded = isGraded[model] ? Math.min(1, shown[model]! / expected[model]!) : 1
    const weight = 1 / observed[2 * i + model]!
    excess[i] = weight * weight * (graded * q * (1 - q) - miss * miss)
  })
  return excess
}
