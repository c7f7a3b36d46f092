import { WeirError } from '../../core/errors.ts'
import type { Manifest } from '../bundle/manifest.ts'
import { isOod } from '../bundle/ood-rule.ts'
import { estimateCost } from '../prices.ts'
import { type Ranked, rankByChoice } from './choice.ts'
import type { Decision, DecisionCandidate, Explanation, RouteRequest } from './decision.ts'

/** Why a model was chosen. The list is closed because it labels metrics and logs. */
export type DecisionReason =
  | 'win_rate_reached'
  | 'win_rate_below'
  | 'best_value'
  | 'cheapest_within'
  | 'only_allowed'
  | 'out_of_distribution'
  | 'fallback'
  | 'explored'

/** A router's scores for one prompt, plus the clock and id that the caller passes in. */
export interface DecisionInput {
  readonly manifest: Manifest
  /** calibrated; absent if the router could not answer, in which case the strong model is chosen */
  readonly winRate: number | undefined
  /** one score per candidate, in candidate order, if the family has them */
  readonly quality: Float64Array | undefined
  readonly request: RouteRequest
  readonly promptCharacters: number
  readonly truncated: boolean
  /** how unlike the training prompts it is, 0 to 1, if the encoder knows */
  readonly ood?: number | undefined
  /** SHA-256 of the prompt in hex: what draws are made from */
  readonly hash: string
  readonly id: string
  /** milliseconds since 1970 */
  readonly now: number
  readonly elapsedMs: number
  /** why the router itself did not answer; the win rate, if present, then comes from the fallback head */
  readonly fallbackReason?: string | undefined
  /** probability of each candidate, in candidate order, if splits or exploration influenced the choice */
  readonly propensities?: Float64Array | undefined
  /** exploration: use the model of the pair that the win rate would not choose */
  readonly explored?: boolean | undefined
  /** true if online updates changed the calibrated win rate */
  readonly corrected?: boolean | undefined
  /** both models should answer this request so that they can be compared */
  readonly audit?: boolean | undefined
}

/**
 * Decides one request. If the bundle has a choice rule and the qualities are known, the rule decides among
 * all candidates; otherwise the strong model is chosen if the win rate reaches the threshold, and the weak
 * one if not. A request that sets a threshold asks about the pair. If an allow-list excludes one model of the
 * pair, the other is chosen; if it excludes both, the best of the remaining candidates is.
 *
 * @throws candidates_empty if the allow-list contains no candidate
 */
export function decide(input: DecisionInput): Decision {
  const { manifest, winRate, request } = input
  const fallback = input.fallbackReason !== undefined
  const rule = request.threshold === undefined ? manifest.choice?.rule : undefined
  const chosenByRule =
    rule && input.quality
      ? rankByChoice(
          rule,
          manifest.candidates,
          input.quality,
          input.promptCharacters,
          request.models,
        )
      : undefined
  const threshold = chosenByRule?.threshold ?? request.threshold ?? manifest.threshold.value
  const reached = winRate === undefined || winRate >= threshold
  const answered = oodAnswer(input)
  const strong = answered === undefined ? reached : answered === 'strong'
  const ranked: readonly (Ranked | PairRanked)[] =
    chosenByRule && answered === undefined
      ? swapped(chosenByRule.ranked, input.explored)
      : rank(input, input.explored ? !strong : strong)
  const chosen = ranked[0]
  if (!chosen?.allowed) {
    throw new WeirError(
      'candidates_empty',
      { models: request.models, known: manifest.candidates.map((candidate) => candidate.model) },
      { param: 'models' },
    )
  }
  const second = ranked[1]
  // a win rate says nothing of models outside the pair
  const free = second?.allowed === true && (chosenByRule !== undefined || isOfPair(second))
  const reason: DecisionReason = fallback
    ? 'fallback'
    : !free
      ? 'only_allowed'
      : input.explored
        ? 'explored'
        : answered !== undefined
          ? 'out_of_distribution'
          : chosenByRule
            ? rule!.kind === 'best-value'
              ? 'best_value'
              : 'cheapest_within'
            : reached
              ? 'win_rate_reached'
              : 'win_rate_below'
  const decision: Decision = {
    id: input.id,
    object: 'routing.decision',
    created: Math.floor(input.now / 1000),
    router: { name: manifest.name, version: manifest.version },
    model: chosen.candidate.model,
    win_rate: winRate ?? null,
    threshold,
    calibrated: manifest.calibration.method !== 'identity' && !input.corrected,
    candidates: ranked.map((entry, index) => toCandidate(entry, index === 0, input)),
    reason,
    fallback,
    fallback_reason: input.fallbackReason ?? null,
    propensity: input.propensities?.[chosen.index] ?? 1,
    timing_ms: input.elapsedMs,
    truncated: input.truncated,
  }
  if (input.ood !== undefined) decision.ood = Math.round(1e4 * input.ood) / 1e4
  if (chosenByRule && answered === undefined) decision.choice = rule!
  if (input.audit) decision.audit = true
  return decision
}

/** The model of the pair that the rule for prompts unlike the training prompts answers with; undefined if none. */
function oodAnswer({ manifest, ood, hash, fallbackReason }: DecisionInput): Role | undefined {
  const { ood: rule } = manifest
  if (rule === undefined || rule.answer === 'clip' || fallbackReason !== undefined) return undefined
  if (!isOod(ood, rule)) return undefined
  if (rule.answer !== 'share') return rule.answer
  const draw = Number.parseInt(hash.slice(0, 8), 16) / 2 ** 32
  return draw < strongShare(manifest) ? 'strong' : 'weak'
}
type Role = 'strong' | 'weak'

/** The share of prompts that the threshold was calibrated to send strong; half before any calibration. */
function strongShare({ threshold: { certificate } }: Manifest): number {
  const { strong_share: share } = (certificate?.expected ?? {}) as { strong_share?: unknown }
  return typeof share === 'number' ? share : 0.5
}

const isOfPair = ({ candidate }: Ranked | PairRanked): boolean => candidate.role !== 'other'

interface PairRanked extends Omit<Ranked, 'cost'> {
  readonly cost?: undefined
  /** lower values are tried first */
  readonly order: number
}

/** For exploration: moves the second-best candidate to the front, if it is allowed. */
function swapped(ranked: Ranked[], explored: boolean | undefined): Ranked[] {
  const [first, second, ...rest] = ranked
  return explored && second?.allowed ? [second, first!, ...rest] : ranked
}

/**
 * The preferred model of the pair, the other one, then the rest, best first; models not allowed come last.
 */
function rank(input: DecisionInput, preferStrong: boolean): PairRanked[] {
  const { manifest, quality, request } = input
  // an unknown win rate counts as a win for the strong model, as in the decision itself
  const winRate = input.winRate ?? 1
  const ranked = manifest.candidates.map((candidate, index): PairRanked => {
    const allowed = request.models === undefined || request.models.includes(candidate.model)
    const pairScore = candidate.role === 'strong' ? winRate : 1 - winRate
    const score = quality?.[index] ?? (candidate.role === 'other' ? 0 : pairScore)
    const inPair =
      candidate.role === 'other'
        ? 2 - score
        : (candidate.role === 'strong') === preferStrong
          ? -1
          : 0
    return { index, candidate, allowed, score, order: allowed ? inPair : 10 + inPair }
  })
  return ranked.sort((a, b) => a.order - b.order)
}

function toCandidate(
  entry: Ranked | PairRanked,
  chosen: boolean,
  input: DecisionInput,
): DecisionCandidate {
  const { model, price, output_tokens: outputTokens, wait_usd: wait } = entry.candidate
  const candidate: DecisionCandidate = {
    model,
    score: entry.score,
    eligible: entry.allowed,
    reason: chosen ? 'chosen' : entry.allowed ? 'next' : 'not_allowed',
    est_cost_usd:
      entry.cost ??
      (price && outputTokens !== undefined
        ? estimateCost(price, input.promptCharacters, outputTokens)
        : null),
    propensity: input.propensities?.[entry.index] ?? (chosen ? 1 : 0),
  }
  if (wait !== undefined) candidate.wait_usd = wait
  return candidate
}

/**
 * The threshold at which the other model of the pair would have been chosen; undefined if there was no
 * choice.
 */
export function flipOf(decision: Decision): NonNullable<Explanation['flip']> | undefined {
  const { win_rate: winRate, reason } = decision
  const other = decision.candidates[1]
  if (winRate === null || !other?.eligible) return undefined
  if (reason !== 'win_rate_reached' && reason !== 'win_rate_below') return undefined
  return {
    threshold: winRate,
    when: reason === 'win_rate_reached' ? 'above' : 'at or below',
    model: other.model,
  }
}
