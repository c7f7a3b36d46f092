/** Adam's constants (Kingma and Ba 2015). */
export const BETA1 = 0.9
export const BETA2 = 0.999
export const EPSILON = 1e-8

/**
 * Adam with its moments stored as plain decayed sums, m' = beta1 m' + g and v' = beta2 v' + g^2, and with all
 * constant factors and bias corrections moved into the step: p -= stepSize * m' / (sqrt(v') + epsilon). The
 * steps are the same (ibid., end of section 2), with fewer passes over the arrays.
 *
 * @param taken number of steps already taken
 */
export function stepSchedule(
  steps: number,
  taken: number,
  learningRate: number,
): { readonly stepSize: Float32Array; readonly epsilon: Float32Array } {
  const stepSize = new Float32Array(steps)
  const epsilon = new Float32Array(steps)
  for (let i = 0; i < steps; i++) {
    const t = taken + i + 1
    const first = (1 - BETA1) / (1 - BETA1 ** t)
    const second = Math.sqrt((1 - BETA2) / (1 - BETA2 ** t))
    stepSize[i] = (learningRate * first) / second
    epsilon[i] = EPSILON / second
  }
  return { stepSize, epsilon }
}
