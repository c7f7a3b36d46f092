/** What was observed of every model on some rows: n x m tables, a row a prompt. */
export interface ObservedOutcomes {
  /** NaN where not observed */
  readonly scores: ArrayLike<number>
  /** how long the answers were, NaN where not known; absent where the log does not say */
  readonly tokens?: ArrayLike<number> | undefined
}

/** Standard deviations that a length may be from its model's mean: a few answers run to the limit. */
const FARTHEST = 3
/** What a model's score is taken for where nothing was observed of it. */
const UNKNOWN = 0.5

export const scoreMean = (scores: ArrayLike<number>, m: number, model: number): number =>
  meanOf(scores, m, model) ?? UNKNOWN

/** A model's scores about the mean; 0 where not observed. */
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

/** How the logarithms of a model's answer lengths come to mean 0 and variance 1. */
export interface LengthScale {
  readonly mean: number
  /** 0 where they do not vary */
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

/** A model's answer lengths in standard deviations of their logarithm; 0 where not known. */
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
