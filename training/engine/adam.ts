/** Adam's constants (Kingma and Ba 2015). */
export const BETA1 = 0.9
export const BETA2 = 0.999
export const EPSILON = 1e-8

/**
 * What bias correction makes of the step size and of epsilon at each step, so that
 * p -= stepSize * m / (sqrt(v) + epsilon) is Adam exactly (ibid., end of section 2).
 *
 * @param taken steps taken before the first of these
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
    const second = Math.sqrt(1 - BETA2 ** t)
    stepSize[i] = (learningRate * second) / (1 - BETA1 ** t)
    epsilon[i] = EPSILON * second
  }
  return { stepSize, epsilon }
}
