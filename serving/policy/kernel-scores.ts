/** Nearness falls by e for each `WIDTH` of cosine: examples far from a question have next to no say. */
const WIDTH = 0.2
/** Ridge: how much one example may be wrong about its surroundings. */
const RIDGE = 0.3

/** How much a text belongs to each of several classes: near 1 for their own texts, near 0 for all others. */
export interface KernelScores {
  /** n x classes, row-major: of each text it was fitted to, as if it had not been among them */
  readonly leftOut: Float64Array
  /** classes, from the cosines to the n texts */
  score(cosines: Float64Array): Float64Array
}

/**
 * Kernel ridge regression of "is of this class" on texts, kernel exp((cosine - 1) / WIDTH). Scores with a text
 * left out are exact, without fitting again: y_i - a_i / (K + ridge)^-1_ii (Rasmussen and Williams 2006, 5.12).
 *
 * @param cosines n x n between the texts, row-major
 * @param owners n: the class of each text, -1 for none
 */
export function fitKernelScores(
  cosines: Float64Array,
  owners: readonly number[],
  classes: number,
): KernelScores {
  const n = owners.length
  const kernel = cosines.map(nearness)
  for (let i = 0; i < n; i++) kernel[i * n + i]! += RIDGE
  const inverse = invertPositive(kernel, n)
  const weights = new Float64Array(n * classes)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const owner = owners[j]!
      if (owner >= 0) weights[i * classes + owner]! += inverse[i * n + j]!
    }
  }
  const leftOut = weights.map((weight, at) => {
    const i = Math.floor(at / classes)
    return Number(owners[i] === at % classes) - weight / inverse[i * n + i]!
  })
  return {
    leftOut,
    score(asked) {
      const scores = new Float64Array(classes)
      for (let i = 0; i < n; i++) {
        const near = nearness(asked[i]!)
        for (let c = 0; c < classes; c++) scores[c]! += near * weights[i * classes + c]!
      }
      return scores
    },
  }
}

const nearness = (cosine: number): number => Math.exp((cosine - 1) / WIDTH)

/** Gauss-Jordan without pivots, which a positive definite matrix does not need. @param matrix n x n, overwritten */
function invertPositive(matrix: Float64Array, n: number): Float64Array {
  for (let k = 0; k < n; k++) {
    const pivot = 1 / matrix[k * n + k]!
    matrix[k * n + k] = 1
    for (let j = 0; j < n; j++) matrix[k * n + j]! *= pivot
    for (let i = 0; i < n; i++) {
      const factor = matrix[i * n + k]!
      if (i === k) continue
      matrix[i * n + k] = 0
      for (let j = 0; j < n; j++) matrix[i * n + j]! -= factor * matrix[k * n + j]!
    }
  }
  return matrix
}
