import { choleskyInverse } from '../solver/ridge.ts'
import {
  lengthColumn,
  lengthScale,
  type ObservedOutcomes,
  scoreColumn,
  scoreMean,
} from './outcome-columns.ts'

/** Penalty on each model's coefficient, in rows. */
const RIDGE = 20
/** Of a length, in standard deviations, beside an outcome. */
const LENGTH_WEIGHT = 0.5

/**
 * A pair's outcomes with less luck in them: what the other models' outcomes on the same prompts say of each, by
 * ridge regression that leaves the prompt itself out. Two models' 0 or 1 on a prompt is a coin; thirty others
 * say how hard the prompt is, and so do the lengths of their answers. The pair's own outcomes are not among the
 * regressors, else one's luck would become the other's.
 *
 * @returns n x 2 for strong and weak, NaN-free; undefined where there are too few others
 */
export function knownOfOthers(
  { scores, tokens }: ObservedOutcomes,
  m: number,
  pair: { readonly strong: number; readonly weak: number },
): Float32Array | undefined {
  const n = scores.length / m
  const others = Array.from({ length: m }, (_, k) => k).filter(
    (k) => k !== pair.strong && k !== pair.weak,
  )
  if (others.length < 3) return undefined
  const own = [pair.strong, pair.weak].map((k) => {
    const mean = scoreMean(scores, m, k)
    return { mean, values: scoreColumn(scores, m, k, mean) }
  })
  const { x, d } = regressors({ scores, tokens }, m, others)
  const target = (i: number, c: number): number => own[c]!.values[i]!
  const gram = new Float64Array(d * d)
  const cross = new Float64Array(d * 2)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < d; j++) {
      const value = x[i * d + j]!
      for (let k = 0; k <= j; k++) gram[j * d + k]! += value * x[i * d + k]!
      for (let c = 0; c < 2; c++) cross[j * 2 + c]! += value * target(i, c)
    }
  }
  for (let j = 0; j < d; j++) {
    gram[j * d + j]! += RIDGE
    for (let k = 0; k < j; k++) gram[k * d + j] = gram[j * d + k]!
  }
  const inverse = choleskyInverse(gram, d)
  const out = new Float32Array(n * 2)
  const moved = new Float64Array(d)
  for (let i = 0; i < n; i++) {
    let leverage = 0
    for (let j = 0; j < d; j++) {
      let sum = 0
      for (let k = 0; k < d; k++) sum += inverse[j * d + k]! * x[i * d + k]!
      moved[j] = sum
      leverage += sum * x[i * d + j]!
    }
    for (let c = 0; c < 2; c++) {
      let fitted = 0
      for (let j = 0; j < d; j++) fitted += moved[j]! * cross[j * 2 + c]!
      // leave-one-out: (fitted - h y) / (1 - h)
      const left = (fitted - leverage * target(i, c)) / Math.max(1 - leverage, 1e-6)
      out[i * 2 + c] = left + own[c]!.mean
    }
  }
  return out
}

/** The others' outcomes, the square and cube of their mean (who solves what only the best solve), and lengths. */
function regressors(
  { scores, tokens }: ObservedOutcomes,
  m: number,
  others: readonly number[],
): { x: Float64Array; d: number } {
  const n = scores.length / m
  const all: Float64Array[] = []
  const level = new Float64Array(n)
  for (const k of others) {
    const mean = scoreMean(scores, m, k)
    const column = scoreColumn(scores, m, k, mean)
    all.push(column)
    for (let i = 0; i < n; i++) level[i]! += (column[i]! + mean) / others.length
  }
  for (const power of [2, 3]) {
    const raised = level.map((p) => 4 * p ** power)
    all.push(scoreColumn(raised, 1, 0, scoreMean(raised, 1, 0)))
  }
  if (tokens) {
    for (const k of others) {
      const column = lengthColumn(tokens, m, k, lengthScale(tokens, m, k))
      all.push(column.map((length) => LENGTH_WEIGHT * length))
    }
  }
  const d = all.length
  const x = new Float64Array(n * d)
  for (const [j, column] of all.entries()) {
    for (let i = 0; i < n; i++) x[i * d + j] = column[i]!
  }
  return { x, d }
}
