import { normalCdf, Z_95 } from './normal.ts'

/** 80% point: plus Z_95, the distance at which a two-sided 5% test finds a difference four times in five. */
const Z_POWER = 0.8416212335729143

/** Two-sided p-value of a difference with a standard error; 1 if both are 0. */
export function twoSidedP(difference: number, error: number): number {
  if (error > 0) return Math.min(1, 2 * normalCdf(-Math.abs(difference / error)))
  return difference === 0 ? 1 : 0
}

/** The smallest difference that a two-sided 5% test finds with 80% power at this standard error. */
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
