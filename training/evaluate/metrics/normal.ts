/** 97.5% point of the standard normal. */
export const Z_95 = 1.959963984540054
/** 80% point: with Z_95, the distance at which a two-sided 5% test finds a difference four times in five. */
const Z_POWER = 0.8416212335729143

/** P(Z > z) of the standard normal, by the erfc fraction of Numerical Recipes (3rd ed., 6.2.2), error < 1.2e-7 relative. */
export function normalTail(z: number): number {
  const x = Math.abs(z) / Math.SQRT2
  const t = 1 / (1 + x / 2)
  const tail =
    (t *
      Math.exp(
        -x * x -
          1.26551223 +
          t *
            (1.00002368 +
              t *
                (0.37409196 +
                  t *
                    (0.09678418 +
                      t *
                        (-0.18628806 +
                          t *
                            (0.27886807 +
                              t *
                                (-1.13520398 +
                                  t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))),
      )) /
    2
  return z >= 0 ? tail : 1 - tail
}

/** Two-sided p-value of a difference with a standard error; 1 where there is no spread and no difference. */
export function twoSidedP(difference: number, error: number): number {
  if (error > 0) return Math.min(1, 2 * normalTail(Math.abs(difference / error)))
  return difference === 0 ? 1 : 0
}

/** The least difference that a two-sided 5% test finds with 80% power at this standard error. */
export const detectableDifference = (error: number): number => (Z_95 + Z_POWER) * error

/** Holm 1979: step-down adjustment, so that the chance of any false finding among them stays at the level. */
export function holm(pValues: readonly number[]): number[] {
  const ranked = pValues.map((p, index) => ({ p, index })).sort((a, b) => a.p - b.p)
  const adjusted = new Array<number>(pValues.length)
  let worst = 0
  ranked.forEach(({ p, index }, rank) => {
    worst = Math.max(worst, Math.min(1, p * (ranked.length - rank)))
    adjusted[index] = worst
  })
  return adjusted
}
