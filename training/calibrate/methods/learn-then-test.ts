import { WeirError } from '../../../core/errors.ts'
import { createRandom, deriveSeed } from '../../../core/random.ts'
import type { BoundTest } from '../bounds/bounds.ts'
import { type PromisedLoss, promisedLoss } from '../losses.ts'
import type { Method, Problem } from '../method.ts'
import { type CalibrationRows, gainOf, type OffPolicy, takeCalibrationRows } from '../rows.ts'
import { dataShort } from '../shortage.ts'
import type { TargetKind } from '../target.ts'

const TARGETS: Readonly<Record<BoundTest['values'], readonly TargetKind[]>> = {
  bounded: ['max-loss', 'match', 'quality', 'max-harm'],
  ternary: ['max-loss', 'match'],
  binary: ['max-harm'],
}

/**
 * Learn then Test with fixed-sequence testing (Angelopoulos et al. 2021, arXiv 2110.01052): thresholds fixed
 * in advance are tested one after the other from "all strong", each at level delta, and the last one before
 * the first failure is chosen. The probability of choosing one that breaks the promise is at most delta,
 * however many are tested.
 */
export function learnThenTest(test: BoundTest): Method {
  return {
    name: `learn-then-test/${test.name}`,
    targets: TARGETS[test.values],
    choose(problem) {
      if (test.values !== 'bounded') refuseUneven(test, problem.rows)
      const mixed = shuffledRows(problem.rows, problem.seed)
      const rows = test.values === 'bounded' ? mixed : wholeGains(mixed, problem)
      const loss = promisedLoss(rows, problem.target)
      const tested = passing(test, loss, problem.grid)
      if (tested === 0) {
        const { grid, target } = problem
        throw dataShort(loss, { rows: problem.rows.winRate.length, grid, target })
      }
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

/** Number of thresholds of the grid that pass before the first failure. */
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

/** Tests of whole outcomes take neither weights nor estimates. Throws `option_invalid`. */
function refuseUneven(test: BoundTest, rows: CalibrationRows): void {
  if (!rows.weight && !rows.offPolicy) return
  throw new WeirError('option_invalid', {
    option: `--method ${test.name}`,
    expected: 'rows of equal weight with the scores of both models (betting takes any)',
    got: rows.weight ? 'weights' : `estimates (${rows.offPolicy?.estimator})`,
  })
}

/**
 * Replaces each fractional gain by -1, 0 or 1 at random (seeded) with the same mean, once for all thresholds:
 * an exact test of the rounded rows is then also a test of the fractional ones.
 */
function wholeGains(rows: CalibrationRows, { target, seed }: Problem): CalibrationRows {
  const random = createRandom(deriveSeed(seed, 'whole gains'))
  const gain = gainOf(rows, target).map((value) => {
    const size = Math.abs(value)
    return Number.isInteger(value) ? value : random.next() < size ? Math.sign(value) : 0
  })
  return { ...rows, gain }
}

/** The same rows in a random order: logs are often sorted, and the betting test reads rows in order. */
export function shuffledRows(rows: CalibrationRows, seed: number): CalibrationRows {
  const order = Int32Array.from({ length: rows.winRate.length }, (_, i) => i)
  return takeCalibrationRows(rows, createRandom(seed).shuffle(order))
}

function offPolicyAssumptions({
  estimator,
  propensities,
  gain_low,
  gain_high,
  labels,
  blunt,
}: OffPolicy): string[] {
  if (estimator === 'prediction-powered') {
    return [
      `the ${labels} calibration prompts that people labelled are a random part of them, and their labels are right; the judge may err in any way (the bounded values are its labels corrected by theirs, from ${gain_low.toFixed(1)} to ${gain_high.toFixed(1)})`,
    ]
  }
  const bounded = `the bounded values are doubly robust estimates of the gain per prompt, from ${gain_low.toFixed(1)} to ${gain_high.toFixed(1)}`
  return propensities === 'logged'
    ? [`the logged propensities are those with which the models were asked; ${bounded}`]
    : [
        `the estimated propensities, or the predicted scores, are right on average, and nothing outside the log decided both who was asked and how well it answered; ${bounded}`,
        ...(blunt
          ? [
              'the estimated propensities are sharp enough: who was asked depends much on the prompt, where such estimates were measured to be off by more than their intervals say',
            ]
          : []),
      ]
}

export function assumptions(rows: CalibrationRows): string[] {
  const assumed = ['future prompts come from the same mix as the calibration prompts']
  if (rows.weight) assumed.push('the weights towards the target prompts are right')
  if (rows.offPolicy) assumed.push(...offPolicyAssumptions(rows.offPolicy))
  return assumed
}
