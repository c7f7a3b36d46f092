import type { GatewayRequest, RefusePlan } from '../gateway/contracts.ts'
import type { LatencyGoal } from '../gateway/pace.ts'
import type { Traits } from '../gateway/traits.ts'
import type { ChatTurn } from '../upstreams/upstream.ts'
import type { ModelFacts, PolicyFile } from './file.ts'
import { compilePrivacy } from './privacy.ts'
import { requestTexts } from './request-texts.ts'

/** The body of an endpoint other than chat, as one turn that hard limits and guardrails can read. */
export function passedTurns(body: Readonly<Record<string, unknown>>): ChatTurn[] {
  const { texts, images } = requestTexts(body)
  const parts = texts.map((text) => ({ type: 'text', text }))
  return [{ role: 'user', content: images ? [...parts, { type: 'image_url' }] : parts }]
}

/** Why a request must not go to a model. */
export interface Closed {
  readonly reason: string
  /** HTTP status of the refusal if all models are closed with the same one; 403 by default */
  readonly status?: NonNullable<RefusePlan['status']>
  /** seconds after which it may be open again */
  readonly retryAfter?: number
  /** the budget that closes it */
  readonly budget?: string
}

/** The models that hard limits leave open to a request. No later step can open the others. */
export interface Limited {
  readonly closed: ReadonlyMap<string, Closed>
  /** never in `closed`; in the file's order */
  readonly open: readonly string[]
  /** the request may go to private models only, and to no other machine for any purpose */
  readonly sensitive: boolean
}

export interface LimitState {
  readonly request: GatewayRequest
  readonly traits: Traits
  readonly sensitive: boolean
  /** what the request asks for, else the file */
  readonly goal: LatencyGoal
}

/** One hard limit: why this model is closed to this request, or undefined. Called for each model; never waits. */
export type ModelLimit = (model: string, facts: ModelFacts, state: LimitState) => Closed | undefined

export interface Limits {
  (request: GatewayRequest, traits: Traits): Limited
  /** Reads a long request in a thread, so that the limits need not; undefined if it is short. */
  readonly examine: (request: GatewayRequest) => Promise<void> | undefined
}

/**
 * The file's own limits, then `more`; the first that closes a model says why.
 *
 * @param known what is known of the models besides, one after the other: each closes some of those left open, but never
 *   all of them
 */
export function compileLimits(
  file: PolicyFile,
  more: readonly ModelLimit[] = [],
  known: readonly ModelLimit[] = [],
): Limits {
  const { isSensitive, examine } = compilePrivacy(file)
  const limits = [privateLimit, keyLimit(file), requestLimit, capabilityLimit, ...more]
  const limitsOf = (request: GatewayRequest, traits: Traits): Limited => {
    const { max_ttft_ms: maxTtftMs, max_total_ms: maxTotalMs } = {
      ...file.latency,
      ...request.hints,
    }
    const goal = { maxTtftMs, maxTotalMs }
    const state = { request, traits, sensitive: isSensitive(request, traits), goal }
    const closed = new Map<string, Closed>()
    let open: string[] = []
    for (const [model, facts] of Object.entries(file.models)) {
      let why: Closed | undefined
      for (const limit of limits) {
        why = limit(model, facts, state)
        if (why) break
      }
      if (why) closed.set(model, why)
      else open.push(model)
    }
    for (const limit of known) {
      const unfit = open.map((model) => limit(model, file.models[model]!, state))
      const fit = open.filter((_, i) => !unfit[i])
      if (fit.length === 0) continue
      for (const [i, why] of unfit.entries()) if (why) closed.set(open[i]!, why)
      open = fit
    }
    return { closed, open, sensitive: state.sensitive }
  }
  return Object.assign(limitsOf, { examine })
}

const privateLimit: ModelLimit = (_, facts, { sensitive }) =>
  sensitive && !facts.private ? { reason: 'sensitive, and the model is not private' } : undefined

const keyLimit =
  ({ keys }: PolicyFile): ModelLimit =>
  (model, _, { request }) => {
    const allowed = keys?.[request.caller.name]?.models
    return allowed && !allowed.includes(model) ? { reason: 'not allowed for this key' } : undefined
  }

const requestLimit: ModelLimit = (model, _, { request: { hints } }) =>
  hints.models && !hints.models.includes(model)
    ? { reason: 'not allowed by the request', status: 400 }
    : undefined

const capabilityLimit: ModelLimit = (_, facts, { traits }) => {
  if (traits.tokens > (facts.context ?? Infinity)) {
    const reason = `about ${traits.tokens} tokens, and its context is ${facts.context}`
    return { reason, status: 413 }
  }
  if (traits.images && !facts.vision) return { reason: 'images, and it reads none', status: 400 }
  if (traits.tools && !facts.tools) return { reason: 'tools, and it calls none', status: 400 }
  return undefined
}
