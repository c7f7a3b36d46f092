import { type Choice, type ChoiceKind, ruleAt } from '../../models/bundle/choice-rule.ts'
import type { Candidate } from '../../models/bundle/manifest.ts'
import { emptyPoints, walkPath } from './frontier.ts'
import { expectedCosts } from './log-table.ts'
import { policyPath, pricePath } from './policy-path.ts'

/** What a bundle asks for before any calibration: `best-value` at half the way between cheapest and strong, or a loss. */
export interface ChoiceRequest {
  readonly kind: ChoiceKind
  /** of `cheapest-within` */
  readonly loss?: number
}

export interface DefaultChoiceInput {
  readonly request: ChoiceRequest
  readonly candidates: readonly Candidate[]
  readonly prompts: readonly string[]
  /** prompts x candidates */
  readonly quality: Float64Array
}

/**
 * The rule as trained. lambda is where the given (validation) prompts are expected to cost half-way between the
 * cheapest model and the strong one; no outcome is looked at.
 */
export function defaultChoice(input: DefaultChoiceInput): Choice {
  const { request, candidates, prompts, quality } = input
  if (request.kind === 'cheapest-within') {
    return { rule: ruleAt(request.kind, request.loss ?? 0), source: 'default' }
  }
  const m = candidates.length
  const costs = expectedCosts(candidates, prompts)
  const models = candidates.map(({ model }) => model)
  const priced = pricePath(policyPath(request.kind, { quality, costs }, m), {
    models,
    rows: prompts.length,
    scores: quality,
    costs,
  })
  const { points, cost, value } = walkPath(priced, undefined, emptyPoints(priced))
  const strong = candidates.findIndex(({ role }) => role === 'strong')
  let dearest = 0
  for (let i = 0; i < prompts.length; i++) dearest += costs[i * m + strong]! / prompts.length
  const budget = (dearest + cost[points - 1]!) / 2
  let stop = 0
  while (stop < points - 1 && cost[stop]! > budget) stop++
  return { rule: ruleAt(request.kind, between(value, stop, points)), source: 'default' }
}

/** A number at which this stop is the one: half-way to the next, so that rounding cannot move a prompt. */
export function between(value: Float64Array, stop: number, points: number): number {
  const from = value[stop]!
  return stop + 1 < points ? (from + value[stop + 1]!) / 2 : 2 * from
}
