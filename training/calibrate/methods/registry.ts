import { WeirError } from '../../../core/errors.ts'
import { betting } from '../bounds/betting.ts'
import type { BoundTest } from '../bounds/bounds.ts'
import { empiricalBernstein } from '../bounds/empirical-bernstein.ts'
import { BOUND_TESTS } from '../bounds/registry.ts'
import type { Method } from '../method.ts'
import type { CalibrationRows } from '../rows.ts'
import type { ThresholdTarget } from '../target.ts'
import { budget } from './budget.ts'
import { conformalRiskControl } from './conformal-risk-control.ts'
import { learnThenTest } from './learn-then-test.ts'
import { plugIn } from './plug-in.ts'
import { quantile } from './quantile.ts'

const methods: Method[] = [
  quantile,
  plugIn,
  budget(betting),
  budget(empiricalBernstein),
  conformalRiskControl,
  ...BOUND_TESTS.map(learnThenTest),
]

/**
 * Every method that chooses a threshold. A new one is a file and a row above, which also makes it a case of
 * the contract suite.
 */
export const METHODS: readonly Method[] = methods

/**
 * Registers a method that chooses a threshold; `--method` then accepts its name.
 *
 * @throws option_invalid if the name is taken
 */
export function registerMethod(method: Method): void {
  if (methods.some(({ name }) => name === method.name)) {
    throw new WeirError('option_invalid', {
      option: 'method',
      expected: 'a new name',
      got: method.name,
    })
  }
  methods.push(method)
}

/** Registers a test of a bounded mean, as the method `learn-then-test/<name>`. Throws `option_invalid` as well. */
export const registerBoundTest = (test: BoundTest): void => registerMethod(learnThenTest(test))

/** The method with that name, or the target's default for these rows. Throws `option_invalid`. */
export function methodFor(target: ThresholdTarget, rows: CalibrationRows, name?: string): Method {
  const wanted = name ?? defaultMethod(target, rows)
  const able = METHODS.filter((method) => method.targets.includes(target.kind))
  const found = able.find((method) => method.name === wanted || method.name.endsWith(`/${wanted}`))
  if (found) return found
  throw new WeirError('option_invalid', {
    option: '--method',
    expected: `one of ${able.map((method) => method.name).join(', ')}`,
    got: wanted,
  })
}

function defaultMethod(target: ThresholdTarget, rows: CalibrationRows): string {
  switch (target.kind) {
    case 'strong-share':
      return quantile.name
    case 'budget':
      return 'budget/betting'
    case 'max-loss':
      return countable(rows) ? 'paired-exact' : 'betting'
    case 'match':
      if (target.confidence === undefined) return plugIn.name
      return countable(rows) ? 'paired-exact' : 'betting'
    case 'max-harm':
      if (target.confidence === undefined) return conformalRiskControl.name
      return countable(rows) ? 'clopper-pearson' : 'betting'
    case 'quality':
      return target.confidence === undefined ? plugIn.name : 'betting'
  }
}

/** Largest share of fractional gains at which rounding them costs less than the exact test gains. */
const MOST_GRADED = 0.1
/** With more rows the exact cut takes seconds, and the betting test is as good. */
const MOST_EXACT_ROWS = 50_000

/** Whether nearly every gain is -1, 0 or 1 and all rows have the same weight: exact tests are best then. */
function countable({ gain, weight, offPolicy }: CalibrationRows): boolean {
  if (weight || offPolicy || !gain || gain.length > MOST_EXACT_ROWS) return false
  const graded = gain.reduce((rows, value) => rows + (Number.isInteger(value) ? 0 : 1), 0)
  return graded <= MOST_GRADED * gain.length
}
