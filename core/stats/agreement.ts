/** How far apart two values are: 0 for the same, larger for worse disagreement. */
export type Disagreement = (a: number, b: number) => number

/** For values that are only equal or not. */
export const nominal: Disagreement = (a, b) => (a === b ? 0 : 1)
/** For values on a scale. */
export const squared: Disagreement = (a, b) => (a - b) ** 2

/**
 * Krippendorff's alpha (Krippendorff 2011, "Computing Krippendorff's alpha-reliability"): 1 for full agreement, 0 for that
 * of chance, below 0 for less than chance. Raters may have left units out.
 *
 * @param units one list per unit: the value of each rater, undefined or NaN where it gave none
 * @returns undefined if no unit has two values, or all values are the same: then nothing could have disagreed
 */
export function krippendorffAlpha(
  units: readonly (readonly (number | undefined)[])[],
  disagreement: Disagreement = squared,
): number | undefined {
  const paired = units
    .map((unit) =>
      unit.filter((value): value is number => value !== undefined && !Number.isNaN(value)),
    )
    .filter((values) => values.length > 1)
  const counts = new Map<number, number>()
  let within = 0
  let total = 0
  for (const values of paired) {
    let sum = 0
    for (const a of values) {
      counts.set(a, (counts.get(a) ?? 0) + 1)
      for (const b of values) sum += disagreement(a, b)
    }
    within += sum / (values.length - 1)
    total += values.length
  }
  let between = 0
  for (const [a, n] of counts) for (const [b, m] of counts) between += n * m * disagreement(a, b)
  if (total < 2 || between === 0) return undefined
  return 1 - ((total - 1) * within) / between
}
