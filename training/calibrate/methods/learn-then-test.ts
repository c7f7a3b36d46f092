import { WeirError } from '../../../models/errors.ts'
import { createRandom } from '../../../models/random.ts'
import type { BoundTest } from '../bounds/bound-test.ts'
import { type PromisedLoss, promisedLoss } from '../losses.ts'
import type { Method } from '../method.ts'
import { type CalibrationRows, takeCalibrationRows } from '../rows.ts'
import { dataShort } from '../shortage.ts'
import type { TargetKind } from '../target.ts'

const TARGETS: Readonly<Record<BoundTest['values'], readonly TargetKind[]>> = {
  bounded: ['max-loss', 'match', 'quality', 'max-harm'],
  ternary: ['max-loss', 'match'],
  binary: ['max-harm'],
}

/**
 * Learn then Test with fixed-sequence testing (Angelopoulos et al. 2021, arXiv 2110.01052): thresholds
 * fixed in advance are tested one after the other from "all strong", each at level delta, and the last
 * one before the first failure is taken. The chance of taking one that breaks the promise is at most
 * delta, however many are tested.
 */
export function learnThenTest(test: BoundTest): Method {
  return {
    name: `learn-then-test/${test.name}`,
    targets: TARGETS[test.values],
    choose(problem) {
      const rows = shuffledRows(problem.rows, problem.seed)
      const loss = promisedLoss(rows, problem.target)
      if (test.values !== 'bounded' && !whole(loss, problem.grid)) {
        throw new WeirError('option_invalid', {
          option: `--method ${test.name}`,
          expected: 'outcomes of 0 and 1 and no weights',
          got: rows.weight ? 'weights' : 'graded outcomes or ties',
        })
      }
      const tested = passing(test, loss, problem.grid)
      if (tested === 0) throw dataShort(loss, problem)
      return {
        threshold: problem.grid[tested - 1]!,
        promise: 'confidence',
        bound: loss.bound,
        tested,
        assumptions: assumptions(problem.rows),
      }
    },
  }
}

/** How many thresholds of the grid pass before the first that fails. */
export function passing(test: BoundTest, loss: PromisedLoss, grid: Float64Array): number {
  const options = {
    mean: loss.allowed,
    low: loss.low,
    high: loss.high,
    delta: 1 - loss.confidence,
  }
  let k = 0
  while (k < grid.length && test.rejects(loss.at(grid[k]!), options)) k++
  return k
}

/** Whether the loss only ever takes whole values: seen where the most rows are sent weak. */
function whole(loss: PromisedLoss, grid: Float64Array): boolean {
  return loss.high === 1 && loss.at(grid.at(-1) ?? 1).every(Number.isInteger)
}

/** The same rows in a random order: logs are often sorted, and the betting test reads rows in order. */
export function shuffledRows(rows: CalibrationRows, seed: number): CalibrationRows {
  const order = Int32Array.from({ length: rows.winRate.length }, (_, i) => i)
  return takeCalibrationRows(rows, createRandom(seed).shuffle(order))
}

export function assumptions(rows: CalibrationRows): string[] {
  const assumed = ['future prompts come from the same mix as the calibration prompts']
  if (rows.weight) assumed.push('the weights towards the target prompts are right')
  return assumed
}
