import type { GatewayRequest } from '../gateway/plan.ts'
import type { Condition, PolicyFile } from './file.ts'
import { compilePattern } from './pattern.ts'
import type { Traits } from './traits.ts'

export type Holds = (request: GatewayRequest, traits: Traits) => boolean

/** Every field of the condition must hold; of a list, one entry. */
export function compileCondition(when: Condition, keys: PolicyFile['keys'] = {}): Holds {
  const patterns = when.regex?.map(compilePattern)
  const words = when.keywords?.map((word) =>
    compilePattern(`(?i)(^|[^\\pL\\pN])\\Q${word}\\E($|[^\\pL\\pN])`),
  )
  const { characters, metadata, tags, tier, key, tools, images } = when
  return (request, traits) => {
    const caller = request.caller.name
    const given = request.hints.metadata ?? {}
    return (
      (!words || words.some((word) => word.test(traits.question))) &&
      (!patterns || patterns.some((pattern) => pattern.test(traits.question))) &&
      (!tags || tags.some((tag) => traits.tags.includes(tag))) &&
      (!tier || tier.includes(keys[caller]?.tier ?? '')) &&
      (!key || key.includes(caller)) &&
      (!characters ||
        (traits.text.length >= (characters.min ?? 0) &&
          traits.text.length <= (characters.max ?? Infinity))) &&
      (tools === undefined || tools === traits.tools) &&
      (images === undefined || images === traits.images) &&
      Object.entries(metadata ?? {}).every(([name, wanted]) =>
        (Array.isArray(wanted) ? wanted : [wanted]).includes(given[name]),
      )
    )
  }
}
