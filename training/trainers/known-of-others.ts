import { choleskyInverse } from '../solver/ridge.ts'

/** Penalty on each model's coefficient, in rows. */
const RIDGE = 20

/**
 * A pair's outcomes with less luck in them: what the other models' outcomes on the same prompts say of each, by
 * ridge regression that leaves the prompt itself out. Two models' 0 or 1 on a prompt is a coin; thirty others
 * say how hard the prompt is. The pair's own outcomes are not among the regressors, else one's luck would
 * become the other's.
 *
 * @param scores n x m; NaN where not observed
 * @returns n x 2 for strong and weak, NaN-free; undefined where there are too few others
 */
export function knownOfOthers(
  scores: ArrayLike<number>,
  m: number,
  pair: { readonly strong: number; readonly weak: number },
): Float32Array | undefined {
  const n = scores.length / m
  const own = [pair.strong, pair.weak]
  const others = Array.from({ length: m }, (_, k) => k).filter((k) => !own.includes(k))
  if (others.length < 3) return undefined
  const columns = [...others, ...own]
  const means = columns.map((k) => {
    let [sum, seen] = [0, 0]
    for (let i = 0; i < n; i++) {
      const score = scores[i * m + k]!
      if (Number.isNaN(score)) continue
      sum += score
      seen++
    }
    return seen > 0 ? sum / seen : 0.5
  })
  // the others' outcomes, and the square and cube of their mean: who solves what only the best solve
  const d = others.length + 2
  const x = new Float64Array(n * d)
  for (let i = 0; i < n; i++) {
    let mean = 0
    others.forEach((k, j) => {
      const score = scores[i * m + k]!
      x[i * d + j] = Number.isNaN(score) ? 0 : score - means[j]!
      mean += (Number.isNaN(score) ? means[j]! : score) / others.length
    })
    x[i * d + d - 2] = 4 * mean ** 2
    x[i * d + d - 1] = 4 * mean ** 3
  }
  for (let j = d - 2; j < d; j++) {
    let sum = 0
    for (let i = 0; i < n; i++) sum += x[i * d + j]!
    for (let i = 0; i < n; i++) x[i * d + j]! -= sum / n
  }
  const gram = new Float64Array(d * d)
  const cross = new Float64Array(d * 2)
  const target = (i: number, c: number): number => {
    const score = scores[i * m + own[c]!]!
    return Number.isNaN(score) ? 0 : score - means[others.length + c]!
  }
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
      out[i * 2 + c] = left + means[others.length + c]!
    }
  }
  return out
}
