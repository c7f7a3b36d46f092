import { WeirError } from '../core/errors.ts'
import type { OnProgress } from '../core/progress.ts'
import type { Dataset } from '../data/dataset/dataset.ts'
import { type Choice, type ChoiceKind, ruleAt } from '../models/bundle/choice-rule.ts'
import type { Candidate } from '../models/bundle/manifest.ts'
import type { Scores } from '../models/families/linear-head.ts'
import { type CandidatesInput, pricedCandidates } from './candidates.ts'
import { emptyPoints, stopNumber, walkPath } from './evaluate/frontier/frontier.ts'
import { type FrontierReport, frontierReport } from './evaluate/frontier/frontier-report.ts'
import { policyPath, pricePath } from './evaluate/frontier/policy-path.ts'
import { completePrompts, expectedCosts, logTable } from './evaluate/log/model-table.ts'

/**
 * The rule of a bundle before any calibration: `best-value` half-way between the cheapest and the strong
 * model, or a loss.
 */
export interface RuleRequest {
  readonly kind: ChoiceKind
  /** of `cheapest-within` only: largest loss of quality against the best model, 0 to 1 */
  readonly loss?: number | undefined
}

const DEFAULT_LOSS = 0.02

const KINDS: readonly ChoiceKind[] = ['best-value', 'cheapest-within']

/** The request with its default loss, once it is checked. @throws option_invalid */
export function checkedRule(asked: {
  readonly kind: string
  readonly loss?: number | undefined
}): RuleRequest {
  const { loss } = asked
  const kind = KINDS.find((one) => one === asked.kind)
  if (!kind) {
    const expected = `one of ${KINDS.join(', ')}`
    throw new WeirError('option_invalid', { option: '--rule', expected, got: asked.kind })
  }
  if (kind === 'best-value') {
    if (loss === undefined) return { kind }
    const expected = '--rule cheapest-within with it'
    throw new WeirError('option_invalid', { option: '--loss', expected, got: loss })
  }
  const given = loss ?? DEFAULT_LOSS
  if (given >= 0 && given <= 1) return { kind, loss: given }
  const expected = 'a number from 0 to 1'
  throw new WeirError('option_invalid', { option: '--loss', expected, got: given })
}

interface DefaultRuleInput {
  readonly request: RuleRequest
  readonly candidates: readonly Candidate[]
  readonly prompts: readonly string[]
  /** prompts x candidates */
  readonly quality: Float64Array
}

/**
 * The rule as trained. lambda is chosen so that the given (validation) prompts are expected to cost half-way
 * between the cheapest model and the strong one. Outcomes are not used.
 */
export function defaultRule(input: DefaultRuleInput): Choice {
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
  return { rule: ruleAt(request.kind, stopNumber(value, stop, points)), source: 'default' }
}

/** Some prompts of a dataset with the head's predictions for them. */
export interface ScoredPrompts {
  /** indices into the dataset's prompts */
  readonly prompts: Int32Array
  readonly scores: Scores
}

export interface TrainedRule {
  readonly candidates: Candidate[]
  readonly choice: Choice
}

/**
 * The rule of a freshly trained router, set on its validation prompts.
 *
 * @throws option_invalid if the family predicts no quality for single models
 */
export function trainedRule(
  dataset: Dataset,
  request: RuleRequest,
  validation: ScoredPrompts,
  input: CandidatesInput & { readonly router: string },
): TrainedRule {
  const { quality } = validation.scores
  if (!quality) {
    throw new WeirError('option_invalid', {
      option: '--router',
      expected: 'a family that predicts a quality for each of --models (mf learns one from votes)',
      got: `${input.router}, which learns only the pair from this log`,
    })
  }
  const candidates = pricedCandidates(dataset, input)
  const prompts = textsOf(dataset, validation.prompts)
  return { candidates, choice: defaultRule({ request, candidates, prompts, quality }) }
}

const LEAST_ROWS = 50

/** What the rule achieves on held-out prompts; undefined if too few of them have an outcome of every model. */
export async function reportTrainedRule(
  dataset: Dataset,
  { candidates, choice }: TrainedRule,
  test: ScoredPrompts,
  options: {
    readonly name: string
    readonly seed: number
    readonly signal?: AbortSignal | undefined
    readonly onProgress?: OnProgress | undefined
  },
): Promise<FrontierReport | undefined> {
  if (!dataset.outcomes || !test.scores.quality) return undefined
  const m = candidates.length
  const complete = new Set(
    completePrompts(
      dataset,
      candidates.map(({ model }) => model),
    ),
  )
  const rows = [...test.prompts.keys()].filter((row) => complete.has(test.prompts[row]!))
  if (rows.length < LEAST_ROWS) return undefined
  const prompts = Int32Array.from(rows, (row) => test.prompts[row]!)
  const quality = Float64Array.from(
    rows.flatMap((row) => [...test.scores.quality!.subarray(row * m, (row + 1) * m)]),
  )
  return frontierReport({
    ...options,
    candidates,
    choice,
    table: logTable(dataset, prompts, candidates),
    expected: { quality, costs: expectedCosts(candidates, textsOf(dataset, prompts)) },
  })
}

const textsOf = (dataset: Dataset, prompts: Int32Array): string[] =>
  Array.from(prompts, (prompt) => dataset.prompts[prompt]!)
