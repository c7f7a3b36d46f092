import type { Attempt, Served } from '../gateway/contracts.ts'
import { mayBeBilled } from './billed.ts'
import { toBillionths } from './nanodollars.ts'
import { routeLabel } from './route-label.ts'
import type { SpendLine } from './spend-line.ts'

/** What a request that ended spent, a line a model; none where nobody was asked. @param time of its end */
export function spendOf(served: Served, time: number): SpendLine[] {
  const { request, plan, attempts, savedUsd } = served
  const models = [...new Set(attempts.map(({ model }) => model))]
  const main = served.model ?? models[0]
  return models.map((model) => {
    const own = attempts.filter((attempt) => attempt.model === model)
    const cached = sum(own, ({ usage }) => usage?.cachedInputTokens)
    const uncounted = own.filter(
      ({ outcome, costUsd, usage }) =>
        mayBeBilled(outcome) && (costUsd === undefined || usage?.partial),
    ).length
    return {
      object: 'spend',
      id: request.id,
      time,
      key: request.caller.name,
      route: routeLabel(plan),
      model,
      requests: model === main ? 1 : 0,
      attempts: own.length,
      input_tokens: sum(own, ({ usage }) => usage?.inputTokens),
      output_tokens: sum(own, ({ usage }) => usage?.outputTokens),
      ...(cached > 0 ? { cached_tokens: cached } : {}),
      cost_usd: toBillionths(sum(own, ({ costUsd }) => costUsd)),
      ...(model === main && savedUsd !== undefined ? { saved_usd: toBillionths(savedUsd) } : {}),
      ...(uncounted > 0 ? { uncounted } : {}),
    }
  })
}

const sum = (attempts: readonly Attempt[], of: (attempt: Attempt) => number | undefined): number =>
  attempts.reduce((total, attempt) => total + (of(attempt) ?? 0), 0)
