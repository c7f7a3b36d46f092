import { createRandom } from '../../models/random.ts'
import { calibrateThreshold } from '../../training/calibrate/calibrate-threshold.ts'
import { shareAt } from '../../training/calibrate/candidates.ts'

const thresholdFor = (winRate: Float64Array, share: number): number =>
  calibrateThreshold({ rows: { winRate }, target: { kind: 'strong-share', share }, seed: 1 })
    .threshold

/** Mean absolute error of the share, on the population that n rows are drawn from, over shares of .1 to .9. */
export function shareError(
  population: Float64Array,
  options: { rows: number; runs: number; seed: number },
): number {
  const random = createRandom(options.seed)
  let error = 0
  for (let run = 0; run < options.runs; run++) {
    const share = 0.1 + 0.8 * random.next()
    const drawn = Float64Array.from(
      { length: options.rows },
      () => population[random.int(population.length)]!,
    )
    error += Math.abs(shareAt(population, thresholdFor(drawn, share)) - share) / options.runs
  }
  return error
}

export interface ShiftedShareErrors {
  /** after recalibrating on a few unlabelled prompts of the new mix */
  readonly recalibrated: number
  /** with the threshold of the old mix */
  readonly kept: number
}

/**
 * Traffic moves to a third of the categories, at random: mean absolute error of a 30% share on the new mix,
 * with and without unlabelled prompts of it.
 */
export function shiftedShareErrors(
  winRate: Float64Array,
  categories: readonly (string | undefined)[],
  options: { unlabelled: number; runs: number; seed: number },
): ShiftedShareErrors {
  const random = createRandom(options.seed)
  const known = [...new Set(categories)]
  let recalibrated = 0
  let kept = 0
  const old = thresholdFor(winRate, 0.3)
  for (let run = 0; run < options.runs; run++) {
    const chosen = new Set(random.shuffle([...known]).slice(0, Math.ceil(known.length / 3)))
    const mix = winRate.filter((_, i) => chosen.has(categories[i]))
    const seen = Float64Array.from(
      { length: options.unlabelled },
      () => mix[random.int(mix.length)]!,
    )
    recalibrated += Math.abs(shareAt(mix, thresholdFor(seen, 0.3)) - 0.3) / options.runs
    kept += Math.abs(shareAt(mix, old) - 0.3) / options.runs
  }
  return { recalibrated, kept }
}
