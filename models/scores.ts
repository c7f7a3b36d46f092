/** What a head says of n prompts, before probability calibration. */
export interface Scores {
  /** n: P(strong better) + 1/2 P(tie) */
  readonly winRate: Float64Array
  /** n x m, row-major: a score in [0, 1] a model, where the family has one */
  readonly quality?: Float64Array
}
