import { inverse, Matrix } from 'ml-matrix'
import type { LoggedOutcomes } from './logged.ts'

/** Pseudo-rows behind a router's own predictions: errors of about 3 points are taken to be usual. */
const PRIOR_ROWS = 200
/** Penalty on the slopes of a regression that has nothing to lean on, in rows. */
const PLAIN_RIDGE = 5

/** Outcomes predicted for every model: one ridge-penalised linear regression a model. */
export interface RewardModel {
  /** n x actions: what each request would have come to with each model */
  readonly predicted: Float64Array
  /**
   * How the mean of `gradient . coefficients` moves with each row: adds n g' H^-1 (row's score) to
   * `influence`, with g the actions x (features + 1) gradient of an estimate in the coefficients.
   */
  addInfluence(gradient: Float64Array, influence: Float64Array): void
  /** features + 1 numbers of row i: a constant, then its features */
  design(i: number): Float64Array
}

/**
 * Least squares rather than a logistic curve: an estimate needs its mean right where the policy goes, and
 * outcomes that have a price taken off are not in [0, 1]. Where the log has a
 * prior, the regression fits what it leaves over, shrunk towards it. Where it has none, rows are weighed by
 * 1 / propensity: a line fitted where a model mostly served says too little of where it did not.
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
  log.prior ? 1 : 1 / log.propensity[i * log.actions + log.action[i]!]!

/** Each column moved to mean 0 and standard deviation 1; a constant column becomes 0. */
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
