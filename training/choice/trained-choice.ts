import { WeirError } from '../../core/errors.ts'
import type { OnProgress } from '../../core/progress.ts'
import type { Dataset } from '../../data/dataset/dataset.ts'
import type { Choice } from '../../models/bundle/choice-rule.ts'
import type { Candidate } from '../../models/bundle/manifest.ts'
import type { Scores } from '../../models/families/linear-head.ts'
import { type ChoiceReport, choiceReport } from './choice-report.ts'
import { type ChoiceRequest, defaultChoice } from './default-choice.ts'
import { completePrompts, expectedCosts, logTable } from './log-table.ts'
import { type CandidatesInput, pricedCandidates } from './priced-candidates.ts'

/** Some prompts of a dataset with what the head says of them. */
export interface ScoredPrompts {
  /** indices into the dataset's prompts */
  readonly prompts: Int32Array
  readonly scores: Scores
}

export interface TrainedChoice {
  readonly candidates: Candidate[]
  readonly choice: Choice
}

/**
 * The rule of a freshly trained router, set on its validation prompts.
 *
 * @throws option_invalid where the family says nothing of one model alone
 */
export function trainedChoice(
  dataset: Dataset,
  request: ChoiceRequest,
  validation: ScoredPrompts,
  input: CandidatesInput & { readonly router: string },
): TrainedChoice {
  const { quality } = validation.scores
  if (!quality) {
    throw new WeirError('option_invalid', {
      option: '--router',
      expected: 'a family that gives a quality of each of --models (mf learns one from votes)',
      got: `${input.router}, which learns the pair alone from this log`,
    })
  }
  const candidates = pricedCandidates(dataset, input)
  const prompts = textsOf(dataset, validation.prompts)
  return { candidates, choice: defaultChoice({ request, candidates, prompts, quality }) }
}

const LEAST_ROWS = 50

/** What the rule does on held-out prompts; undefined where too few have every model's outcome. */
export async function reportTrained(
  dataset: Dataset,
  { candidates, choice }: TrainedChoice,
  test: ScoredPrompts,
  options: {
    readonly name: string
    readonly seed: number
    readonly signal?: AbortSignal | undefined
    readonly onProgress?: OnProgress | undefined
  },
): Promise<ChoiceReport | undefined> {
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
  return choiceReport({
    ...options,
    candidates,
    choice,
    table: logTable(dataset, prompts, candidates),
    expected: { quality, costs: expectedCosts(candidates, textsOf(dataset, prompts)) },
  })
}

const textsOf = (dataset: Dataset, prompts: Int32Array): string[] =>
  Array.from(prompts, (prompt) => dataset.prompts[prompt]!)
