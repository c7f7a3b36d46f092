import { redact } from '../../models/redaction.ts'
import type { GatewayRequest, RefusePlan } from '../gateway/plan.ts'
import { bodyTexts } from './body-texts.ts'
import type { ModelFacts, PolicyFile } from './file.ts'
import { compilePattern } from './pattern.ts'
import type { Traits } from './traits.ts'

/** Why a request must not go to a model. */
export interface Closed {
  readonly reason: string
  /** of the refusal, where all models are closed for the like; 403 unless told */
  readonly status?: NonNullable<RefusePlan['status']>
  /** seconds after which it may be open again */
  readonly retryAfter?: number
}

/** What hard limits leave of a policy's models. No later step gets past it. */
export interface Limited {
  readonly closed: ReadonlyMap<string, Closed>
  /** never in `closed`; in the file's order */
  readonly open: readonly string[]
  /** what is in it may go to private models only: to no other machine, whatever for */
  readonly sensitive: boolean
}

export interface LimitState {
  readonly request: GatewayRequest
  readonly traits: Traits
  readonly sensitive: boolean
}

/** One hard limit: why this model is closed to this request, or undefined. Called for each model; never waits. */
export type ModelLimit = (model: string, facts: ModelFacts, state: LimitState) => Closed | undefined

export type Limits = (request: GatewayRequest, traits: Traits) => Limited

/** The file's own limits, then `more`; the first that closes a model says why. */
export function compileLimits(file: PolicyFile, more: readonly ModelLimit[] = []): Limits {
  const isSensitive = compileSensitive(file)
  const limits = [privateLimit, keyLimit(file), requestLimit, capabilityLimit, ...more]
  return (request, traits) => {
    const state = { request, traits, sensitive: isSensitive(request, traits) }
    const closed = new Map<string, Closed>()
    const open: string[] = []
    for (const [model, facts] of Object.entries(file.models)) {
      let why: Closed | undefined
      for (const limit of limits) {
        why = limit(model, facts, state)
        if (why) break
      }
      if (why) closed.set(model, why)
      else open.push(model)
    }
    return { closed, open, sensitive: state.sensitive }
  }
}

function compileSensitive({
  privacy,
}: PolicyFile): (request: GatewayRequest, traits: Traits) => boolean {
  if (!privacy) return () => false
  const { tags: wanted = [], detect = false } = privacy
  const patterns = (privacy.patterns ?? []).map(compilePattern)
  return ({ body }, { tags }) => {
    if (wanted.some((tag) => tags.includes(tag))) return true
    if (patterns.length === 0 && !detect) return false
    // whatever goes upstream, not only what is said: arguments of tools, schemas, files
    const text = bodyTexts(body).texts.join('\n')
    return patterns.some((pattern) => pattern.test(text)) || (detect && redact(text) !== text)
  }
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
