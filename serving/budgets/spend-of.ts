import type { Usage } from '../upstreams/upstream.ts'
import { toBillionths } from './nanodollars.ts'
import type { SpendLine } from './spend-line.ts'

/** One question to an upstream that has ended. */
export interface SpentAttempt {
  readonly model: string
  readonly usage: Usage | undefined
  /** US dollars; undefined where price or usage is not known */
  readonly costUsd: number | undefined
  /** it may be on the bill, whether or not its tokens were counted */
  readonly billable: boolean
}

/** A request that has ended. */
export interface SpentRequest {
  readonly id: string
  readonly key: string
  readonly route: string
  /** the model that answered; undefined where none did */
  readonly model: string | undefined
  readonly attempts: readonly SpentAttempt[]
  readonly savedUsd: number | undefined
}

/** What a request spent, one row per model; none where no model was asked. @param time of its end */
export function spendOf(request: SpentRequest, time: number): SpendLine[] {
  const { attempts, savedUsd } = request
  const models = [...new Set(attempts.map(({ model }) => model))]
  const main = request.model ?? models[0]
  return models.map((model) => {
    const own = attempts.filter((attempt) => attempt.model === model)
    const cached = sum(own, ({ usage }) => usage?.cachedInputTokens)
    const uncounted = own.filter(
      ({ billable, costUsd, usage }) => billable && (costUsd === undefined || usage?.partial),
    ).length
    return {
      object: 'spend',
      id: request.id,
      time,
      key: request.key,
      route: request.route,
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

const sum = (
  attempts: readonly SpentAttempt[],
  of: (attempt: SpentAttempt) => number | undefined,
): number => attempts.reduce((total, attempt) => total + (of(attempt) ?? 0), 0)
