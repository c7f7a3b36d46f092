import { WeirError } from '../../../models/errors.ts'
import { meanOf } from '../bounds/bound-test.ts'
import { empiricalBernsteinUpper } from '../bounds/empirical-bernstein.ts'
import { costAt } from '../expected.ts'
import type { Method, Problem } from '../method.ts'
import { type CalibrationRows, costsOf } from '../rows.ts'
import { describeTarget, targetOf } from '../target.ts'
import { assumptions } from './learn-then-test.ts'

/** How far above the largest cost seen the largest possible one is taken to be, where it is not given. */
const CEILING_FACTOR = 2

/**
 * The most strong calls whose dollars stay within a budget: thresholds fixed in advance are tested in
 * sequence from "all weak" by the empirical Bernstein bound (Maurer and Pontil 2009) at level delta, and
 * the last one before the first whose bound exceeds the budget is taken.
 */
export const budget: Method = {
  name: 'budget/empirical-bernstein',
  targets: ['budget'],
  choose(problem) {
    const { rows, target, grid } = problem
    const { usd_per_1k: usd, confidence } = targetOf(target, 'budget')
    const costs = costsOf(rows, target)
    const ceiling = problem.costCeiling ?? CEILING_FACTOR * largest(costs.strong, costs.weak)
    const upper = (threshold: number): number =>
      1000 * upperCost(rows, threshold, ceiling, 1 - confidence)
    let taken: number | undefined
    let tested = 0
    for (let k = grid.length - 1; k >= 0; k--) {
      const bound = upper(grid[k]!)
      if (bound > usd) break
      taken = grid[k]!
      tested++
    }
    if (taken === undefined) throw beyondBudget(problem, usd, ceiling, confidence)
    return {
      threshold: taken,
      promise: 'confidence',
      bound: { quantity: 'dollars per 1,000 requests', value: usd, confidence },
      tested,
      assumptions: [
        ...assumptions(rows),
        `no request costs more than $${Number(ceiling.toPrecision(4))}`,
      ],
    }
  },
}

/** Upper bound of the mean dollars of a request. */
function upperCost(
  rows: CalibrationRows,
  threshold: number,
  ceiling: number,
  delta: number,
): number {
  const cost = costAt(rows, threshold)!
  const { weight } = rows
  if (!weight) return empiricalBernsteinUpper(cost, 0, ceiling, delta)
  const weighted = cost.map((value, i) => value * weight[i]!)
  return empiricalBernsteinUpper(weighted, 0, ceiling * largest(weight), delta)
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
  // the bound's two terms, each given half the room
  const needed = Math.max(
    (8 * (squares / n) * log) / spare ** 2,
    1 + (14 * ceiling * log) / (3 * spare),
  )
  return new WeirError('calibration_data_short', {
    target: describeTarget(target),
    rows: n,
    more: Math.ceil(Math.max(needed - n, n / 4)),
  })
}

function largest(...columns: readonly Float64Array[]): number {
  let most = 0
  for (const column of columns) for (const value of column) most = Math.max(most, value)
  return most
}
