import { WeirError } from '../../../core/errors.ts'
import { type BoundTest, meanOf } from '../bounds/bounds.ts'
import { costAt } from '../expected.ts'
import type { Method, Problem } from '../method.ts'
import { costsOf } from '../rows.ts'
import { roundUp } from '../shortage.ts'
import { describeTarget, targetOf } from '../target.ts'
import { assumptions, shuffledRows } from './learn-then-test.ts'

/** If not given, the largest possible cost is assumed to be this many times the largest observed one. */
const CEILING_FACTOR = 2

/**
 * The largest strong share whose dollars stay within a budget: thresholds fixed in advance are tested in
 * sequence from "all weak" at level delta, and the last one before the first that may exceed the budget is
 * chosen. The betting test uses most of the budget; empirical Bernstein (Maurer and Pontil 2009) is the plain
 * bound for comparison.
 */
export function budget(test: BoundTest): Method {
  return {
    name: `budget/${test.name}`,
    targets: ['budget'],
    choose(problem) {
      const { target, grid } = problem
      const { usd_per_1k: usd, confidence } = targetOf(target, 'budget')
      const costs = costsOf(problem.rows, target)
      const ceiling = problem.costCeiling ?? CEILING_FACTOR * largest(costs.strong, costs.weak)
      const within = withinBudget(test, problem, usd / 1000, ceiling)
      let tested = 0
      while (tested < grid.length && within(grid[grid.length - 1 - tested]!)) tested++
      if (tested === 0) throw beyondBudget(problem, usd, ceiling, confidence)
      return {
        threshold: grid[grid.length - tested]!,
        promise: 'confidence',
        bound: { quantity: 'dollars per 1,000 requests', value: usd, confidence },
        tested,
        assumptions: [
          ...assumptions(problem.rows),
          problem.rows.offPolicy
            ? `no request's doubly robust estimate of its dollars is above $${Number(ceiling.toPrecision(4))}`
            : `no request costs more than $${Number(ceiling.toPrecision(4))}`,
        ],
      }
    },
  }
}

/** Whether the mean dollars of a request are within the budget at a threshold, according to the test. */
function withinBudget(
  test: BoundTest,
  { rows, target, seed }: Problem,
  mean: number,
  ceiling: number,
): (threshold: number) => boolean {
  const { confidence } = targetOf(target, 'budget')
  const mixed = shuffledRows(rows, seed)
  const { weight } = mixed
  const most = weight ? largest(weight) : 1
  return (threshold) => {
    const cost = costAt(mixed, threshold)!
    const options = { mean, low: 0, high: ceiling * most, delta: 1 - confidence }
    return test.rejects(weight ? cost.map((value, i) => value * weight[i]!) : cost, options)
  }
}

function beyondBudget(
  problem: Problem,
  usd: number,
  ceiling: number,
  confidence: number,
): WeirError {
  const { rows, grid, target } = problem
  const least = costAt(rows, grid.at(-1) ?? 1)!
  const mean = 1000 * meanOf(least)
  if (mean >= usd) {
    return new WeirError('budget_too_small', {
      budget: usd,
      cost: Number(mean.toPrecision(4)),
    })
  }
  const n = rows.winRate.length
  const spare = (usd - mean) / 1000
  let squares = 0
  for (const value of least) squares += (value - mean / 1000) ** 2
  const log = Math.log(2 / (1 - confidence))
  // the bound's two terms, each given half of the margin
  const needed = Math.max(
    (8 * (squares / n) * log) / spare ** 2,
    1 + (14 * ceiling * log) / (3 * spare),
  )
  return new WeirError('calibration_data_short', {
    target: describeTarget(target),
    rows: n,
    more: roundUp(Math.max(needed - n, n / 4)),
  })
}

function largest(...columns: readonly Float64Array[]): number {
  let most = 0
  for (const column of columns) for (const value of column) most = Math.max(most, value)
  return most
}
