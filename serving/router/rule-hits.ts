import { isOod } from '../../models/bundle/ood-rule.ts'
import type { Decision, RouteRequest, RuleHit } from '../../models/decision/decision.ts'
import type { Scored } from './scoring.ts'
import type { Target } from './snapshot.ts'

export interface DecidedWith {
  readonly decision: Decision
  /** as the caller asked it */
  readonly request: RouteRequest
  readonly target: Target
  readonly scored: Scored
  /** the threshold of the bundle */
  readonly threshold: number
  readonly explores: boolean
  readonly online: boolean
}

/** The rules that affected a routing request besides its score, in the order they apply. */
export function ruleHits(given: DecidedWith): RuleHit[] {
  const { decision, request, target, scored, explores, online } = given
  const hits: RuleHit[] = []
  if (target.arms.length > 1) {
    const { name, version } = decision.router
    // a canary has the name of the version it may replace
    const arm = target.arms.find(({ live }) => live.router.manifest.version === version)
    const share = arm?.share ?? 0
    const reason = `${percent(share)} of the sessions of ${target.name}`
    hits.push({ step: 'split', name: `${name}@${version}`, matched: true, reason })
  }
  for (const { router } of target.shadows) {
    const { name, version } = router.manifest
    hits.push({
      step: 'shadow',
      name: `${name}@${version}`,
      matched: false,
      reason: 'decides beside it, for the log',
    })
  }
  if (request.models) {
    const closed = decision.candidates.filter(({ eligible }) => !eligible)
    const out = closed.map(({ model }) => model).join(', ')
    const reason = out === '' ? 'leaves no candidate out' : `leaves out ${out}`
    hits.push({ step: 'allow_list', matched: out !== '', reason })
  }
  const asked = request.threshold ?? target.threshold
  if (asked !== undefined && asked !== given.threshold) {
    const by = request.threshold === undefined ? 'the router’s name' : 'the request'
    const reason = `${asked} by ${by}, in place of ${given.threshold}`
    hits.push({ step: 'threshold', matched: true, reason })
  }
  if (decision.fallback) {
    hits.push({ step: 'fallback', matched: true, reason: decision.fallback_reason ?? 'unknown' })
  }
  if (isOod(decision.ood, target.arms[0]?.live.router.manifest.ood)) {
    const matched = decision.reason === 'out_of_distribution'
    const unlike = `unlike ${percent(decision.ood!)} of the training prompts`
    const reason = matched ? `${unlike}: ${decision.model} by the rule for these` : unlike
    hits.push({ step: 'out_of_distribution', matched, reason })
  }
  if (online) {
    const { winRate } = scored
    const moved = winRate !== undefined && winRate !== decision.win_rate
    const priced = decision.threshold !== (asked ?? given.threshold)
    const said = [
      moved ? `win rate ${winRate} corrected to ${decision.win_rate}` : '',
      priced ? `threshold moved to ${decision.threshold} by the budget` : '',
    ].filter(Boolean)
    const reason = said.join('; ') || 'nothing to correct'
    hits.push({ step: 'online', matched: moved || priced, reason })
  }
  if (explores) {
    const matched = decision.reason === 'explored'
    const reason = `this model with probability ${decision.propensity}`
    hits.push({ step: 'explore', matched, reason })
  }
  return hits
}

const percent = (share: number): string => `${Math.round(1000 * share) / 10}%`
