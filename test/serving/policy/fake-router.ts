import { WeirError } from '../../../core/errors.ts'
import type { Decision, RouteRequest } from '../../../models/decision/decision.ts'
import { requestText } from '../../../models/decision/route-request.ts'
import type { LearnedRouter } from '../../../serving/policy/learned-router.ts'

export interface FakeRouterOptions {
  readonly strong?: string
  readonly weak?: string
  readonly winRate?: () => number
  readonly remote?: boolean
  readonly propensity?: number
  readonly onRoute?: (request: RouteRequest) => void
}

/** A router of one pair that says what it is told to, and refuses what a real one refuses. */
export function fakeRouter(options: FakeRouterOptions = {}): LearnedRouter {
  const { strong = 'strong', weak = 'weak', winRate = () => 0.9, propensity = 1 } = options
  return {
    has: (name) => name === 'r',
    remote: () => options.remote ?? false,
    async route(request): Promise<Decision> {
      options.onRoute?.(request)
      requestText(request)
      const reached = winRate() >= 0.5
      const pair = reached ? [strong, weak] : [weak, strong]
      const allowed = (model: string): boolean => request.models?.includes(model) ?? true
      const models = [...pair.filter(allowed), ...pair.filter((model) => !allowed(model))]
      if (!allowed(models[0]!)) {
        throw new WeirError('candidates_empty', { models: request.models, known: pair })
      }
      return {
        id: 'd',
        object: 'routing.decision',
        created: 0,
        router: { name: 'r', version: 'v' },
        model: models[0]!,
        win_rate: winRate(),
        threshold: request.threshold ?? 0.5,
        calibrated: true,
        candidates: models.map((model, i) => ({
          model,
          score: model === strong ? winRate() : 1 - winRate(),
          eligible: allowed(model),
          reason: 'next',
          est_cost_usd: null,
          propensity: i === 0 ? propensity : 1 - propensity,
        })),
        reason: reached ? 'win_rate_reached' : 'win_rate_below',
        fallback: false,
        fallback_reason: null,
        propensity,
        timing_ms: 0,
        truncated: false,
      }
    },
  }
}
