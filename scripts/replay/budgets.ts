import type { Price } from '../../models/prices.ts'
import type { GatewayRecord } from '../../records/decision-record.ts'
import type { LoggedRequest, LoggedRequests } from './rows.ts'

/** US dollars that a request cost, and would have cost with another model; undefined if unknown. */
export interface Dollars {
  paid(logged: LoggedRequest): number | undefined
  from(logged: LoggedRequest, model: string): number | undefined
  /** the assumptions, one sentence each */
  readonly assumptions: readonly string[]
}

interface Mean {
  sum: number
  n: number
}

/**
 * From the log's tokens and dollars. For a model other than the one that answered: the request's input tokens
 * and that model's mean output tokens, at its price if `prices` has one; else that model's mean dollars per
 * request.
 */
export function dollarsOf(
  { requests, feedback }: Pick<LoggedRequests, 'requests' | 'feedback'>,
  prices: ReadonlyMap<string, Price>,
): Dollars {
  const costs = new Map<string, Mean>()
  const outputs = new Map<string, Mean>()
  const reported = new Map<string, number>()
  for (const { decision_id: id, cost_usd: cost } of feedback) {
    if (cost !== undefined) reported.set(id, cost)
  }
  const paid = ({ id, gateway, decision }: LoggedRequest): number | undefined => {
    if (gateway?.cost_usd !== undefined) return gateway.cost_usd
    // requests that were refused, or failed before anything was billed
    if (gateway && !gateway.attempts.some(({ outcome }) => outcome === 'answered')) return 0
    return reported.get(id) ?? (decision && reported.get(decision.id))
  }
  for (const logged of requests) {
    const answer = logged.gateway && answerOf(logged.gateway)
    const model = logged.gateway ? logged.gateway.model : logged.model
    const cost = answer ? answer.cost_usd : paid(logged)
    if (model !== null && model !== undefined && cost !== undefined) add(costs, model, cost)
    if (answer?.output_tokens !== undefined) add(outputs, answer.model, answer.output_tokens)
  }
  const guessed = new Set<string>()
  const from = (logged: LoggedRequest, model: string): number | undefined => {
    const answer = logged.gateway && answerOf(logged.gateway)
    const price = prices.get(model)
    const output = outputs.get(model)
    if (price && answer?.input_tokens !== undefined) {
      guessed.add(
        `${model}: its price, the request’s own input tokens, ${output ? `its mean of ${(output.sum / output.n).toFixed(0)} output tokens in this log` : 'as many output tokens as the model that answered'}`,
      )
      const tokens = output ? output.sum / output.n : (answer.output_tokens ?? 0)
      return (answer.input_tokens * price.input + tokens * price.output) / 1e6
    }
    const mean = costs.get(model)
    if (!mean) return undefined
    guessed.add(
      `${model}: its mean of $${(mean.sum / mean.n).toPrecision(3)} a request in this log (${mean.n} requests)`,
    )
    return mean.sum / mean.n
  }
  return {
    paid,
    from,
    get assumptions() {
      return [...guessed]
    },
  }
}

const answerOf = ({ attempts, model }: GatewayRecord) =>
  attempts.findLast((each) => each.outcome === 'answered' && each.model === model)

function add(means: Map<string, Mean>, key: string, value: number): void {
  const mean = means.get(key) ?? { sum: 0, n: 0 }
  means.set(key, { sum: mean.sum + value, n: mean.n + 1 })
}
