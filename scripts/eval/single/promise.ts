import { WeirError } from '../../../core/errors.ts'
import type { OnProgress } from '../../../core/progress.ts'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import { pairLabels } from '../../../data/pair.ts'
import { labelledRows } from '../../../training/calibrate/log-rows.ts'
import type { CalibrationRows } from '../../../training/calibrate/rows.ts'
import { calibrateThreshold } from '../../../training/calibrate/threshold.ts'
import { type Assignment, type Pool, singleLogOf } from './worlds.ts'

export interface SinglePromise {
  readonly splits: number
  /** share of the logs after whose promise the pool's mean loss is above the promised one */
  readonly violations: number
  /** mean share of the pool sent weak; 0 where the promise was refused */
  readonly weakShare: number
  readonly refused: number
  /** the same from prompts that both models answered, half as many: as many scores */
  readonly pairedViolations: number
  readonly pairedWeakShare: number
}

const VALIDATION_ROWS = 500

/**
 * A bounded loss promised on single answers to prompts that are drawn from the pool with replacement, and kept or
 * broken on the pool, which is the population of these draws.
 */
export async function promiseOf(
  pool: Pool,
  assignment: Assignment,
  options: { splits: number; rows: number; loss: number; confidence: number; seed: number },
  onProgress: OnProgress,
): Promise<SinglePromise> {
  const { splits, rows, loss, confidence, seed } = options
  const target = { kind: 'max-loss', loss, confidence } as const
  let [violations, weakShare, refused, pairedViolations, pairedWeakShare] = [0, 0, 0, 0, 0]
  for (let split = 0; split < splits; split++) {
    onProgress({
      stage: `${pool.set.name}: promise, ${assignment.name}`,
      done: split,
      total: splits,
    })
    const own = deriveSeed(seed, `promise ${split}`)
    const random = createRandom(own)
    const n = pool.winRate.length
    const reference = Float64Array.from(
      { length: VALIDATION_ROWS },
      () => pool.winRate[random.int(n)]!,
    )
    const given = Int32Array.from({ length: rows }, () => random.int(n))
    const thresholdOn = (calibration: CalibrationRows): number => {
      try {
        return calibrateThreshold({ rows: calibration, target, reference, seed: own }).threshold
      } catch (error) {
        if (error instanceof WeirError && error.code.startsWith('calibration_')) return 0
        throw error
      }
    }
    const judge = (threshold: number): { loss: number; weak: number } => {
      let [lost, weak] = [0, 0]
      for (let i = 0; i < n; i++) {
        if (pool.winRate[i]! >= threshold) continue
        weak += 1 / n
        lost += (pool.strong[i]! - pool.weak[i]!) / n
      }
      return { loss: lost, weak }
    }
    const log = await singleLogOf(pool, given, assignment, own)
    const labels = pairLabels(log, pool.set.strong, pool.set.weak)
    const all = Int32Array.from(labels.prompt.keys())
    const winRate = Float64Array.from(labels.prompt, (row) => pool.winRate[given[row]!]!)
    const threshold = thresholdOn(
      labelledRows(labels, all, winRate, undefined, log, pool.set.strong),
    )
    const found = judge(threshold)
    if (threshold === 0) refused += 1 / splits
    if (found.loss > loss) violations += 1 / splits
    weakShare += found.weak / splits
    const half = given.subarray(0, rows / 2)
    const paired = thresholdOn({
      winRate: Float64Array.from(half, (i) => pool.winRate[i]!),
      gain: Float64Array.from(half, (i) => pool.strong[i]! - pool.weak[i]!),
    })
    const bound = judge(paired)
    if (bound.loss > loss) pairedViolations += 1 / splits
    pairedWeakShare += bound.weak / splits
  }
  return { splits, violations, weakShare, refused, pairedViolations, pairedWeakShare }
}
