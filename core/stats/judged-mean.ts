import { betaQuantile } from './beta.ts'
import { type Interval, sideOf } from './intervals.ts'
import { normalCdf, normalQuantile } from './normal.ts'

/**
 * Labels of one quantity by two sources: a judge that labelled every row and may be wrong, and people who labelled some
 * of them, drawn at random.
 */
export interface JudgedLabels {
  /** by the judge, one per row */
  readonly judged: ArrayLike<number>
  /** by people, one per row; NaN where nobody labelled */
  readonly human: ArrayLike<number>
  /** inverse of the probability with which the row was drawn; 1 each if absent */
  readonly weights?: ArrayLike<number> | undefined
}

/** A judge's labels, corrected by those of people. */
export interface CorrectedLabels {
  /**
   * one per row: unbiased in place of the true label, so that means over rows are right whatever the judge; they may lie
   * outside the range of the labels, and only their means say something
   */
  readonly values: Float64Array
  /** the correction: a row's true label is about `intercept + slope * judged` */
  readonly intercept: number
  readonly slope: number
  /** the mean with its 95% interval */
  readonly mean: Interval
  /** standard error of `mean` */
  readonly error: number
  /** part of the variance that more judged rows, and that more human labels would take away */
  readonly variance: { readonly rows: number; readonly labels: number }
  readonly rows: number
  readonly labels: number
}

/** Fewer labels of people give no correction: its two coefficients would be fitted to noise. */
export const LEAST_HUMAN_LABELS = 10

/**
 * Prediction-powered inference with power tuning (PPI++; Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453): the
 * judge's mean over all rows, moved by the mean of (human - slope * judged) on the rows that people labelled. With the slope
 * of the least squares fit on those rows it is the regression estimator of survey sampling (Cochran 1977, ch. 7):
 * never worse than people alone by more than the fit of one coefficient, and right for any judge.
 *
 * The interval takes Student's quantile with two degrees of freedom less than there are labels.
 *
 * @returns undefined with fewer than `LEAST_HUMAN_LABELS` labels of people
 */
export function correctJudge({
  judged,
  human,
  weights,
}: JudgedLabels): CorrectedLabels | undefined {
  const rows = judged.length
  const labelled: number[] = []
  for (let i = 0; i < rows; i++) if (!Number.isNaN(human[i]!)) labelled.push(i)
  const labels = labelled.length
  if (labels < LEAST_HUMAN_LABELS) return undefined
  const weight = (i: number): number => (weights ? weights[i]! : 1)
  const all = Array.from({ length: rows }, (_, i) => i)
  const meanOf = (of: readonly number[], value: (i: number) => number): number => {
    let sum = 0
    let total = 0
    for (const i of of) {
      sum += weight(i) * value(i)
      total += weight(i)
    }
    return sum / total
  }
  const judgedMean = meanOf(labelled, (i) => judged[i]!)
  const humanMean = meanOf(labelled, (i) => human[i]!)
  let covariance = 0
  let variance = 0
  for (const i of labelled) {
    covariance += weight(i) * (judged[i]! - judgedMean) * (human[i]! - humanMean)
    variance += weight(i) * (judged[i]! - judgedMean) ** 2
  }
  const slope = variance > 0 ? covariance / variance : 0
  const intercept = humanMean - slope * judgedMean
  const fitted = (i: number): number => intercept + slope * judged[i]!
  const residual = (i: number): number => human[i]! - fitted(i)
  const mean = meanOf(all, fitted)

  const share = meanOf(all, (i) => (Number.isNaN(human[i]!) ? 0 : 1))
  const values = Float64Array.from(all, (i) =>
    Number.isNaN(human[i]!) ? fitted(i) : fitted(i) + residual(i) / share,
  )
  const ofRows = errorSquared(all, weight, (i) => fitted(i) - mean, 1)
  const ofLabels = errorSquared(labelled, weight, residual, 2)
  // rows that people labelled stand in both parts, uncorrelated by least squares
  const error = Math.sqrt(ofRows + ofLabels)
  const half = studentQuantile(0.975, labels - 2) * error
  return {
    values,
    intercept,
    slope,
    mean: { value: mean, low: mean - half, high: mean + half },
    error,
    variance: { rows: ofRows, labels: ofLabels },
    rows,
    labels,
  }
}

/** Labels of rows in place of the true ones, by a line that was fitted on other rows. */
export interface CorrectedRows {
  /** unbiased in place of the true labels, and independent of each other given the line */
  readonly values: Float64Array
  /** limits of any such value, for labels in [0, 1] */
  readonly low: number
  readonly high: number
  /** rows that people labelled */
  readonly labels: number
}

/**
 * A judge's labels in [0, 1], corrected by people's on the same rows: the line's value, and on rows that people labelled also
 * (human - line) / share, where the share of the rows was labelled at random. As the line comes from other rows, the values
 * are right on average for any line, so tests of bounded means apply to them.
 *
 * @param line fitted on rows that are none of these; any will do, a good one gives less variance
 */
export function correctRows(
  { judged, human }: Pick<JudgedLabels, 'judged' | 'human'>,
  { intercept, slope }: Pick<CorrectedLabels, 'intercept' | 'slope'>,
): CorrectedRows {
  const n = judged.length
  let labels = 0
  for (let i = 0; i < n; i++) if (!Number.isNaN(human[i]!)) labels++
  const share = labels / n
  const values = new Float64Array(n)
  let [least, most] = [1, 0]
  for (let i = 0; i < n; i++) {
    const fitted = Math.min(1, Math.max(0, intercept + slope * judged[i]!))
    least = Math.min(least, fitted)
    most = Math.max(most, fitted)
    values[i] = Number.isNaN(human[i]!) ? fitted : fitted + (human[i]! - fitted) / share
  }
  return { values, low: most - most / share, high: least + (1 - least) / share, labels }
}

/** Squared standard error of a weighted mean of deviations, with `lost` degrees of freedom. */
function errorSquared(
  of: readonly number[],
  weight: (i: number) => number,
  deviation: (i: number) => number,
  lost: number,
): number {
  let squares = 0
  let total = 0
  for (const i of of) {
    squares += (weight(i) * deviation(i)) ** 2
    total += weight(i)
  }
  const n = of.length
  return (squares * n) / Math.max(1, n - lost) / total ** 2
}

/**
 * The width of the corrected interval as a share of that of people alone, for a judge whose labels correlate with those of
 * people by `correlation`, with `labels` of `rows` labelled by people.
 */
export function expectedShrink(correlation: number, labels: number, rows: number): number {
  return Math.sqrt(1 - correlation ** 2 * (1 - labels / Math.max(labels, rows)))
}

/** The x with P(T <= x) = p for Student's t: by the incomplete beta function. */
export function studentQuantile(p: number, degrees: number): number {
  if (p < 0.5) return -studentQuantile(1 - p, degrees)
  if (degrees > 1e6) return normalQuantile(p)
  const x = betaQuantile(2 * (1 - p), degrees / 2, 0.5)
  return Math.sqrt((degrees * (1 - x)) / x)
}

/**
 * The half width of a confidence sequence after n rows: the estimate is within it of the truth at every n at once, with
 * probability `level`, so that one may look after each batch and stop when one likes. Asymptotic, as the normal interval is
 * (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2021, arXiv 2103.06476, theorem 2.2), and tightest around `tightestAt` rows.
 *
 * @param error standard error of the estimate after n rows
 */
export function sequenceHalfWidth(
  error: number,
  n: number,
  { level = 0.95, tightestAt = 200 }: { level?: number; tightestAt?: number } = {},
): number {
  const alpha = 1 - level
  // the value of rho that minimises the width at `tightestAt` (their equation 16)
  const rho2 = (-2 * Math.log(alpha) + Math.log(-2 * Math.log(alpha)) + 1) / tightestAt
  const t = n * rho2 + 1
  return (
    error * Math.sqrt(n) * Math.sqrt(((2 * t) / (n * n * rho2)) * Math.log(Math.sqrt(t) / alpha))
  )
}

/**
 * The probability that the verdict of an interval changes once its standard error has gone from `error` to `later`, given
 * what is known now: the later estimate is normal around this one with variance `error^2 - later^2`.
 */
export function chanceOfChange(
  value: number,
  of: number,
  { error, later, width = 1.96 }: { error: number; later: number; width?: number },
): number {
  const now = sideOf({ low: value - width * error, high: value + width * error }, of)
  const spread = Math.sqrt(Math.max(0, error ** 2 - later ** 2))
  if (spread === 0) return 0
  const above = 1 - normalCdf((of + width * later - value) / spread)
  const below = normalCdf((of - width * later - value) / spread)
  if (now === 'above') return 1 - above
  if (now === 'below') return 1 - below
  return above + below
}
