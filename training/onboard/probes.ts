import { sigmoid } from '../../models/linear-head.ts'

/**
 * Which prompts to ask a new model first: greedily the one that tells most of its m + 2 numbers (the largest
 * p (1 - p) x' S x, S the posterior covariance so far: Bayesian D-optimal design, Chaloner and Verdinelli
 * 1995). What was asked makes its like less worth asking, so the choice spreads.
 *
 * @param features n x width, from `knownLogits`
 * @returns rows, the most telling first
 */
export function chooseProbes(features: Float32Array, width: number, count: number): number[] {
  const n = features.length / width
  const size = width + 1
  // prior variances: a wide constant, the mean's multiple, each one's own share
  const covariance = new Float64Array(size * size)
  for (let i = 0; i < size; i++) covariance[i * size + i] = i === 0 ? 4 : i === 1 ? 1 : 0.1
  const chosen: number[] = []
  const taken = new Uint8Array(n)
  const product = new Float64Array(size)
  const x = new Float64Array(size)
  const load = (row: number): number => {
    x[0] = 1
    for (let k = 0; k < width; k++) x[k + 1] = features[row * width + k]!
    let total = 0
    for (let i = 0; i < size; i++) {
      let sum = 0
      for (let j = 0; j < size; j++) sum += covariance[i * size + j]! * x[j]!
      product[i] = sum
      total += sum * x[i]!
    }
    return total
  }
  while (chosen.length < Math.min(count, n)) {
    let best = -1
    let most = -1
    for (let row = 0; row < n; row++) {
      if (taken[row]) continue
      const p = sigmoid(features[row * width]!)
      const told = p * (1 - p) * load(row)
      if (told > most) {
        most = told
        best = row
      }
    }
    taken[best] = 1
    chosen.push(best)
    const p = sigmoid(features[best * width]!)
    const scale = (p * (1 - p)) / (1 + p * (1 - p) * load(best))
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) covariance[i * size + j]! -= scale * product[i]! * product[j]!
    }
  }
  return chosen
}
