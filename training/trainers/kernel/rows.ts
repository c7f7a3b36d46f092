import { takeRows } from '../../../models/encoders/embeddings.ts'
import type { Pair } from '../../../models/families/family.ts'
import { type DenseMatrix, pickRows } from '../../solver/dense-matrix.ts'
import { choleskyInverse } from '../../solver/ridge.ts'
import { neighbourTensors, observedRows } from '../neighbours/neighbour-rows.ts'
import type { TrainingRows } from '../trainer.ts'
import type { KernelFeatures } from './features.ts'

/** Rows on which the pair was observed, in the form the kernel family learns from. */
export interface KernelRows {
  readonly z: DenseMatrix
  /** one column per model; the pair's columns are smoothed by the other models' outcomes */
  readonly targets: DenseMatrix
  /** the pair's observed gain, not smoothed */
  readonly gain: Float64Array
  /** every model's outcomes; from votes alone, the pair's vote shares */
  readonly observed: ObservedOutcomes
}

/** @param others weight of the prediction from the other models' outcomes in the pair's targets */
export async function kernelRows(
  split: TrainingRows,
  input: Pair & { readonly models: readonly string[] },
  features: KernelFeatures,
  others: number,
): Promise<KernelRows> {
  const m = input.models.length
  const { strong, weak } = input
  const rows = observedRows(split, input)
  // a model's mean if it was not observed, vote shares if there are no outcomes
  const scores = neighbourTensors(split, input, 0, 'completed').scores!.values
  const gain = Float64Array.from(rows, (_, i) => scores[i * m + strong]! - scores[i * m + weak]!)
  const lengths = split.outcomes?.tokens
  const tokens = lengths && pickRows({ columns: m, values: lengths }, rows).values
  const observed = { scores, tokens }
  const values = scores.slice()
  const known = split.outcomes ? knownOfOthers(observed, m, input) : undefined
  if (known) {
    for (let i = 0; i < rows.length; i++) {
      values[i * m + strong]! += others * (known[i * 2]! - scores[i * m + strong]!)
      values[i * m + weak]! += others * (known[i * 2 + 1]! - scores[i * m + weak]!)
    }
  }
  return {
    z: await features.of(takeRows(split.embeddings, rows)),
    targets: { rows: rows.length, columns: m, values },
    gain,
    observed,
  }
}

/** Penalty on each model's coefficient, in rows. */
const RIDGE = 20
/** Weight of an answer length, in standard deviations, relative to an outcome. */
const LENGTH_WEIGHT = 0.5

/**
 * A pair's outcomes with less noise: predictions from the other models' outcomes on the same prompts, by
 * leave-one-out ridge regression. Two models' 0 or 1 on a prompt is close to a coin flip, while thirty other
 * models show how hard the prompt is, and so do the lengths of their answers. The pair's outcomes are not
 * among the regressors, since the noise of one would leak into the other.
 *
 * @returns n x 2 for strong and weak, without NaN; undefined if there are too few other models
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

/**
 * The others' outcomes, the square and cube of their mean (to capture what only the best models solve), and
 * lengths.
 */
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

/** Observations of every model on some rows: n x m tables, one row per prompt. */
export interface ObservedOutcomes {
  /** NaN if not observed */
  readonly scores: ArrayLike<number>
  /** answer lengths in tokens, NaN if not known; absent if the log does not have them */
  readonly tokens?: ArrayLike<number> | undefined
}

/**
 * Lengths are clipped to this many standard deviations from their model's mean, since a few answers run to
 * the limit.
 */
const FARTHEST = 3
/** Score assumed for a model if nothing was observed of it. */
const UNKNOWN = 0.5

export const scoreMean = (scores: ArrayLike<number>, m: number, model: number): number =>
  meanOf(scores, m, model) ?? UNKNOWN

/** A model's scores minus their mean; 0 if not observed. */
export function scoreColumn(
  scores: ArrayLike<number>,
  m: number,
  model: number,
  mean: number,
): Float64Array {
  return Float64Array.from({ length: scores.length / m }, (_, i) => {
    const score = scores[i * m + model]!
    return Number.isNaN(score) ? 0 : score - mean
  })
}

/** Shift and scale that give the logarithms of a model's answer lengths mean 0 and variance 1. */
export interface LengthScale {
  readonly mean: number
  /** 0 if they do not vary */
  readonly scale: number
}

export function lengthScale(tokens: ArrayLike<number>, m: number, model: number): LengthScale {
  const logs = Array.from({ length: tokens.length / m }, (_, i) =>
    Math.log1p(tokens[i * m + model]!),
  )
  const mean = meanOf(logs, 1, 0) ?? 0
  const variance =
    meanOf(
      logs.map((log) => (log - mean) ** 2),
      1,
      0,
    ) ?? 0
  return { mean, scale: variance > 1e-12 ? 1 / Math.sqrt(variance) : 0 }
}

/** A model's answer lengths in standard deviations of their logarithm; 0 if not known. */
export function lengthColumn(
  tokens: ArrayLike<number>,
  m: number,
  model: number,
  { mean, scale }: LengthScale,
): Float64Array {
  return Float64Array.from({ length: tokens.length / m }, (_, i) => {
    const length = tokens[i * m + model]!
    if (Number.isNaN(length)) return 0
    return Math.min(Math.max(scale * (Math.log1p(length) - mean), -FARTHEST), FARTHEST)
  })
}

function meanOf(values: ArrayLike<number>, m: number, column: number): number | undefined {
  let [sum, seen] = [0, 0]
  for (let at = column; at < values.length; at += m) {
    const value = values[at]!
    if (Number.isNaN(value)) continue
    sum += value
    seen++
  }
  return seen > 0 ? sum / seen : undefined
}
