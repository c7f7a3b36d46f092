import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import { createRandom, deriveSeed } from '../../core/random.ts'
import {
  clearRatioInterval,
  type Interval,
  meanInterval,
  sideOf,
} from '../../core/stats/intervals.ts'
import { type ChoiceKind, type ChoiceRule, ruleAt } from '../../models/bundle/choice-rule.ts'
import { emptyPoints, stopNumber, walkPath } from '../evaluate/frontier/frontier.ts'
import {
  choicesAt,
  type PolicyPath,
  policyPath,
  pricePath,
} from '../evaluate/frontier/policy-path.ts'
import {
  type Expectations,
  type ModelTable,
  takeMatrix,
  takeTable,
} from '../evaluate/log/model-table.ts'
import { betting } from './bounds/betting.ts'
import { meanOf } from './bounds/bounds.ts'
import { type CalibrationRecord, type HowChosen, type Promised, promisedBy } from './certificate.ts'
import { INTERVAL_LEVEL } from './expected.ts'
import type { PromisedLoss } from './losses.ts'
import { LEAST_ROWS } from './rows.ts'
import { dataShort } from './shortage.ts'
import { describeTarget, type RuleTarget } from './target.ts'

export interface RuleProblem extends CalibrationRecord {
  readonly kind: ChoiceKind
  readonly target: RuleTarget
  /** rows that the router has not seen, with its predictions for them */
  readonly table: ModelTable
  readonly expected: Expectations
  readonly roles: RoleColumns
  /**
   * the router's predictions for other prompts; the numbers to test are taken from them, before looking at
   * these rows' outcomes. Needed for a promise with a confidence
   */
  readonly reference?: Expectations | undefined
}

/** A rule among many models, what it is expected to achieve, and what is promised. */
export interface CalibratedRule {
  readonly rule: ChoiceRule
  readonly expected: RuleExpected
  readonly certificate: RuleCertificate
}

/** What the calibration of a rule promised; stored in the bundle's manifest beside the rule. */
export interface RuleCertificate extends Promised {
  readonly models: readonly string[]
  readonly expected: RuleExpected
}

/** The largest possible cost is assumed to be this many times the largest observed one. */
const CEILING_FACTOR = 2
/** Maximum number of rule numbers that are tested in sequence. */
const GRID = 100

/**
 * The number of a rule that meets the target on these rows. With a confidence, numbers fixed in advance are
 * tested in sequence from the safe end (the best models; for a budget, the cheapest), each with the betting
 * bound, and the last one before the first failure is chosen: the probability of choosing one that breaks the
 * promise is at most 1 - confidence (Learn then Test, arXiv 2110.01052). Without a confidence it is the
 * plug-in choice, which promises nothing.
 *
 * @throws rows_too_few, budget_too_small, calibration_data_short, calibration_impossible
 */
export function calibrateRule(problem: RuleProblem): CalibratedRule {
  const { table, target, roles, kind } = problem
  if (table.rows < LEAST_ROWS) {
    throw new WeirError('rows_too_few', {
      expected: LEAST_ROWS,
      what: 'to calibrate on, with the outcome of every candidate',
      got: table.rows,
    })
  }
  if (target.kind === 'quality') checkGap(table, roles)
  const ceiling = CEILING_FACTOR * table.costs.reduce((most, cost) => Math.max(most, cost), 0)
  const chosen =
    target.confidence === undefined
      ? plugIn(problem, statementOf(target, table, roles, ceiling))
      : inSequence(problem, target.confidence, ceiling)
  const path = policyPath(kind, problem.expected, table.models.length)
  const expected = ruleExpected(table, roles, choicesAt(path, chosen.value))
  return {
    rule: ruleAt(kind, chosen.value),
    expected,
    certificate: {
      ...promisedBy(problem, target, chosen.how, table.rows),
      models: table.models,
      expected,
    },
  }
}

/** Refuses a PGR target if the gap may be zero or negative. */
function checkGap({ scores, models, rows }: ModelTable, { strong, weak }: RoleColumns): void {
  const m = models.length
  const gains = Float64Array.from(
    { length: rows },
    (_, i) => scores[i * m + strong]! - scores[i * m + weak]!,
  )
  const gap = meanInterval(gains, undefined, INTERVAL_LEVEL)
  if (sideOf(gap) === 'above') return
  const [value, low, high] = [gap.value, gap.low, gap.high].map((x) => Number(x.toFixed(4)))
  throw new WeirError('quality_gap_unclear', { rows, gap: value, low, high })
}

interface Chosen {
  readonly value: number
  readonly how: HowChosen
}

const MIX = 'future prompts come from the same mix as the calibration prompts'

/** The cheapest stop of the path that satisfies the statement. */
function plugIn({ kind, table, expected, target }: RuleProblem, statement: Statement): Chosen {
  const m = table.models.length
  const path = policyPath(kind, expected, m)
  const priced = pricePath(path, table)
  const { points, cost, value } = walkPath(priced, undefined, emptyPoints(priced))
  const means = meansAlong(path, statement, points, value)
  let best = -1
  for (let k = 0; k < points; k++) {
    if (means[k]! <= statement.allowed && (best < 0 || cost[k]! < cost[best]!)) best = k
  }
  if (best < 0) {
    throw new WeirError('calibration_impossible', {
      target: describeTarget(target),
      rows: table.rows,
      found: `at best it is missed by ${Number((Math.min(...means) - statement.allowed).toPrecision(3))} on average`,
    })
  }
  const how: HowChosen = {
    method: 'plug-in',
    promise: 'estimate',
    assumptions: ['an estimate: it misses its target about half the time'],
  }
  return { value: stopNumber(value, best, points), how }
}

/** The statement's mean at every stop of the path. */
function meansAlong(
  path: PolicyPath,
  { values }: Statement,
  points: number,
  value: Float64Array,
): Float64Array {
  const choices = path.start.slice()
  const n = choices.length
  // what each row contributes with each model, so that a change is one difference
  const known = new Map<number, Float64Array>()
  const column = (model: number): Float64Array => {
    const found = known.get(model) ?? values(new Int32Array(n).fill(model))
    known.set(model, found)
    return found
  }
  let sum = 0
  for (let i = 0; i < n; i++) sum += column(choices[i]!)[i]!
  const means = new Float64Array(points)
  let k = 0
  for (let stop = 0; stop < points; stop++) {
    for (; stop > 0 && k < path.value.length && path.value[k]! <= value[stop]!; k++) {
      const i = path.prompt[k]!
      sum += column(path.to[k]!)[i]! - column(path.from[k]!)[i]!
    }
    means[stop] = sum / n
  }
  return means
}

function inSequence(problem: RuleProblem, confidence: number, ceiling: number): Chosen {
  const { target, roles, seed, kind, reference } = problem
  if (!reference) throw new TypeError('a promise with a confidence needs reference prompts')
  const m = problem.table.models.length
  // the betting test reads rows in order, and logs are often sorted
  const order = createRandom(deriveSeed(seed, 'choice')).shuffle(
    Int32Array.from({ length: problem.table.rows }, (_, i) => i),
  )
  const table = takeTable(problem.table, order)
  const path = policyPath(
    kind,
    {
      quality: takeMatrix(problem.expected.quality, m, order),
      costs: takeMatrix(problem.expected.costs, m, order),
    },
    m,
  )
  const statement = statementOf(target, table, roles, ceiling)
  const grid = gridOf(kind, reference, m)
  if (target.kind === 'budget') grid.reverse()
  const loss: PromisedLoss = {
    ...statement,
    confidence,
    at: (value) => statement.values(choicesAt(path, value)),
  }
  const options = { mean: loss.allowed, low: loss.low, high: loss.high, delta: 1 - confidence }
  let tested = 0
  while (tested < grid.length && betting.rejects(loss.at(grid[tested]!), options)) tested++
  if (tested === 0) throw short(target, table.rows, loss, grid)
  const dollars =
    target.kind === 'budget'
      ? [`no request costs more than $${Number(ceiling.toPrecision(4))}`]
      : []
  return {
    value: grid[tested - 1]!,
    how: {
      method: 'learn-then-test/betting',
      promise: 'confidence',
      bound: loss.bound,
      tested,
      assumptions: [MIX, ...dollars],
    },
  }
}

/** Rule numbers from the best models to the cheapest, evenly spaced over the stops of the reference prompts' path. */
export function gridOf(kind: ChoiceKind, reference: Expectations, m: number): Float64Array {
  const { value } = policyPath(kind, reference, m)
  const stops = [...new Set(value)]
  const last = stops.at(-1) ?? 0
  const wanted = Math.min(GRID, stops.length)
  const inner = Array.from({ length: wanted }, (_, k) => {
    const at = Math.floor((k * (stops.length - 1)) / Math.max(1, wanted - 1))
    return (stops[at]! + (stops[at + 1] ?? last)) / 2
  })
  return Float64Array.from([0, ...inner, kind === 'best-value' ? 2 * last : 1])
}

function short(
  target: RuleTarget,
  rows: number,
  loss: PromisedLoss,
  grid: Float64Array,
): WeirError {
  if (target.kind === 'budget') {
    const least = 1000 * meanOf(loss.at(grid[0]!))
    if (least >= target.usd_per_1k) {
      return new WeirError('budget_too_small', {
        budget: target.usd_per_1k,
        cost: Number(least.toPrecision(4)),
      })
    }
  }
  return dataShort(loss, { rows, grid, target })
}

/** What the rule achieves on the calibration rows, with 95% intervals. */
export interface RuleExpected {
  readonly quality: Interval
  /** loss relative to the best model, in score units */
  readonly loss: Interval
  readonly best_share?: Interval
  readonly pgr?: Interval
  readonly usd_per_1k: Interval
  /** share of the requests per model, in the order of the table */
  readonly shares: readonly number[]
}

/** @param choices index of the chosen model in the table, one per row */
function ruleExpected(table: ModelTable, roles: RoleColumns, choices: Int32Array): RuleExpected {
  const { scores, costs, models } = table
  const m = models.length
  const chosen = (values: Float64Array): Float64Array =>
    Float64Array.from(choices, (model, i) => values[i * m + model]!)
  const column = (k: number): Float64Array =>
    Float64Array.from(choices, (_, i) => scores[i * m + k]!)
  const score = chosen(scores)
  const strong = column(roles.strong)
  const weak = column(roles.weak)
  const less = (a: Float64Array, b: Float64Array): Float64Array => a.map((x, i) => x - b[i]!)
  const mean = (values: Float64Array): Interval => meanInterval(values, undefined, INTERVAL_LEVEL)
  const share = clearRatioInterval(score, strong, undefined, INTERVAL_LEVEL)
  const pgr = clearRatioInterval(less(score, weak), less(strong, weak), undefined, INTERVAL_LEVEL)
  return definedOnly({
    quality: mean(score),
    loss: mean(less(strong, score)),
    best_share: share,
    pgr,
    usd_per_1k: mean(chosen(costs).map((cost) => 1000 * cost)),
    shares: models.map((_, k) => choices.reduce((n, c) => n + (c === k ? 1 : 0), 0) / table.rows),
  })
}

/** Which columns of a table are the bundle's pair. */
export interface RoleColumns {
  readonly strong: number
  readonly weak: number
}

/** The target as a statement about a mean, and the values whose mean it is. */
export interface Statement extends Omit<PromisedLoss, 'at' | 'confidence'> {
  /** values of the statement when these models are chosen for the table's rows; n values in [low, high] */
  readonly values: (choices: ArrayLike<number>) => Float64Array
  readonly confidence: number | undefined
}

/** @param costCeiling upper limit of the cost of any request, in US dollars */
export function statementOf(
  target: RuleTarget,
  { scores, costs, models, rows }: ModelTable,
  { strong, weak }: RoleColumns,
  costCeiling: number,
): Statement {
  const m = models.length
  const { confidence } = target
  const sure = confidence === undefined ? {} : { confidence }
  const mapped = (choices: ArrayLike<number>, of: (at: number, chosen: number) => number) =>
    Float64Array.from({ length: rows }, (_, i) => of(i * m, scores[i * m + choices[i]!]!))
  switch (target.kind) {
    case 'budget':
      return {
        values: (choices) =>
          Float64Array.from({ length: rows }, (_, i) => costs[i * m + choices[i]!]!),
        allowed: target.usd_per_1k / 1000,
        low: 0,
        high: costCeiling,
        bound: { quantity: 'dollars per 1,000 requests', value: target.usd_per_1k, ...sure },
        confidence,
      }
    case 'max-loss':
      return {
        values: (choices) => mapped(choices, (at, chosen) => scores[at + strong]! - chosen),
        allowed: target.loss,
        low: -1,
        high: 1,
        bound: { quantity: 'net loss', value: target.loss, ...sure },
        confidence,
      }
    case 'best-share':
      // quality >= share x best  <=>  E[share x s_best - s_chosen] <= 0
      return {
        values: (choices) =>
          mapped(choices, (at, chosen) => target.share * scores[at + strong]! - chosen),
        allowed: 0,
        low: -1,
        high: target.share,
        bound: { quantity: 'share of the best model’s quality', value: target.share, ...sure },
        confidence,
      }
    case 'quality':
      // PGR >= p  <=>  E[w + p (s - w) - s_chosen] <= 0, if the gap is positive
      return {
        values: (choices) =>
          mapped(choices, (at, chosen) => {
            const from = scores[at + weak]!
            return from + target.pgr * (scores[at + strong]! - from) - chosen
          }),
        allowed: 0,
        low: -1,
        high: 1,
        bound: { quantity: 'PGR', value: target.pgr, ...sure },
        confidence,
      }
  }
}
