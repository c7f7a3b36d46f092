import { inverse, Matrix } from 'ml-matrix'
import { type LoggedOutcomes, rowWeight } from './logged.ts'

/** Number of pseudo-rows behind a router's predictions, which assumes errors of about 3 points. */
const PRIOR_ROWS = 200
/** Penalty on the slopes of a regression without a prior, in rows. */
const PLAIN_RIDGE = 5

/** Outcomes predicted for every model, by one ridge-penalised linear regression per model. */
export interface RewardModel {
  /** n x actions: the predicted outcome of each request with each model */
  readonly predicted: Float64Array
  /**
   * The influence of each row on the mean of `gradient . coefficients`: adds n g' H^-1 (row's score) to
   * `influence`, where g is the actions x (features + 1) gradient of an estimate in the coefficients.
   */
  addInfluence(gradient: Float64Array, influence: Float64Array): void
  /** features + 1 numbers of row i: a constant, then its features */
  design(i: number): Float64Array
}

/**
 * Least squares rather than a logistic curve: an estimate needs the correct mean where the policy acts, and
 * outcomes from which a price was subtracted are not in [0, 1]. If the log has a prior, the regression fits
 * its residuals and is shrunk towards it. If not, rows are weighted by 1 / propensity: a line fitted where a
 * model mostly served says too little about where it did not.
 */
export function fitRewardModel(log: LoggedOutcomes): RewardModel {
  const { n, actions, featureCount } = log
  const ridge = log.prior ? PRIOR_ROWS : PLAIN_RIDGE
  const features = standardised(log.features, n, featureCount)
  const d = featureCount + 1
  const row = new Float64Array(d)
  const design = (i: number): Float64Array => {
    row[0] = 1
    for (let j = 0; j < featureCount; j++) row[j + 1] = features[i * featureCount + j]!
    return row
  }
  const gram = Array.from({ length: actions }, () => Matrix.zeros(d, d))
  const moment = Array.from({ length: actions }, () => new Float64Array(d))
  for (let i = 0; i < n; i++) {
    const x = design(i)
    const a = log.action[i]!
    const weight = weightOf(log, i)
    for (let j = 0; j < d; j++) {
      moment[a]![j]! += weight * x[j]! * (log.reward[i]! - (log.prior?.[i * actions + a] ?? 0))
      for (let k = 0; k < d; k++) gram[a]!.set(j, k, gram[a]!.get(j, k) + weight * x[j]! * x[k]!)
    }
  }
  const inverses = gram.map((matrix) => {
    for (let j = 0; j < d; j++) {
      matrix.set(j, j, matrix.get(j, j) + (j === 0 && !log.prior ? 1e-9 : ridge))
    }
    return inverse(matrix)
  })
  const coefficients = inverses.map((matrix, a) =>
    Float64Array.from({ length: d }, (_, j) => {
      let sum = 0
      for (let k = 0; k < d; k++) sum += matrix.get(j, k) * moment[a]![k]!
      return sum
    }),
  )
  const predicted = new Float64Array(n * actions)
  for (let i = 0; i < n; i++) {
    const x = design(i)
    for (let a = 0; a < actions; a++) {
      let sum = log.prior?.[i * actions + a] ?? 0
      for (let j = 0; j < d; j++) sum += x[j]! * coefficients[a]![j]!
      predicted[i * actions + a] = sum
    }
  }
  return {
    predicted,
    design,
    addInfluence(gradient, influence) {
      const direction = inverses.map((matrix, a) =>
        Float64Array.from({ length: d }, (_, j) => {
          let sum = 0
          for (let k = 0; k < d; k++) sum += matrix.get(j, k) * gradient[a * d + k]!
          return sum
        }),
      )
      for (let i = 0; i < n; i++) {
        const x = design(i)
        const a = log.action[i]!
        let along = 0
        for (let j = 0; j < d; j++) along += x[j]! * direction[a]![j]!
        influence[i]! +=
          weightOf(log, i) * n * along * (log.reward[i]! - predicted[i * actions + a]!)
      }
    },
  }
}

const weightOf = (log: LoggedOutcomes, i: number): number =>
  rowWeight(log, i) / (log.prior ? 1 : log.propensity[i * log.actions + log.action[i]!]!)

/** Each column shifted and scaled to mean 0 and standard deviation 1; a constant column becomes 0. */
function standardised(features: Float64Array, n: number, columns: number): Float64Array {
  const out = new Float64Array(features.length)
  for (let j = 0; j < columns; j++) {
    let mean = 0
    let squares = 0
    for (let i = 0; i < n; i++) mean += features[i * columns + j]! / n
    for (let i = 0; i < n; i++) squares += (features[i * columns + j]! - mean) ** 2 / n
    const scale = squares > 1e-18 ? 1 / Math.sqrt(squares) : 0
    for (let i = 0; i < n; i++) out[i * columns + j] = (features[i * columns + j]! - mean) * scale
  }
  return out
}
