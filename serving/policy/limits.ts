import { redact } from '../../models/redaction.ts'
import type { GatewayRequest } from '../gateway/plan.ts'
import type { PolicyFile } from './file.ts'
import { compilePattern } from './pattern.ts'
import type { Traits } from './traits.ts'

/** Each model that this request must not go to, and why: no later step gets past it. */
export type Limits = (request: GatewayRequest, traits: Traits) => ReadonlyMap<string, string>

export function compileLimits(file: PolicyFile): Limits {
  const { privacy } = file
  const patterns = (privacy?.patterns ?? []).map(compilePattern)
  const sensitive = ({ text, tags }: Traits): boolean =>
    (privacy?.tags ?? []).some((tag) => tags.includes(tag)) ||
    patterns.some((pattern) => pattern.test(text)) ||
    (privacy?.detect === true && redact(text) !== text)
  return (request, traits) => {
    const closed = new Map<string, string>()
    const isSensitive = sensitive(traits)
    const ofKey = file.keys?.[request.caller.name]?.models
    for (const [model, facts] of Object.entries(file.models)) {
      if (isSensitive && !facts.private)
        closed.set(model, 'sensitive, and the model is not private')
      else if (ofKey && !ofKey.includes(model)) closed.set(model, 'not allowed for this key')
      else if (request.hints.models && !request.hints.models.includes(model)) {
        closed.set(model, 'not allowed by the request')
      } else if (traits.tokens > (facts.context ?? Infinity)) {
        closed.set(model, `about ${traits.tokens} tokens, and its context is ${facts.context}`)
      } else if (traits.images && !facts.vision) closed.set(model, 'images, and it reads none')
      else if (traits.tools && !facts.tools) closed.set(model, 'tools, and it calls none')
    }
    return closed
  }
}
