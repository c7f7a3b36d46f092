import type { Condition } from './condition-file.ts'
import type { PolicyFile } from './file.ts'
import { compileKeywords } from './keywords.ts'
import type { LanguageOf } from './language.ts'
import { passesTest } from './metadata-test.ts'
import { compilePattern } from './pattern.ts'
import type { StepState } from './step.ts'

export type Holds = (state: Pick<StepState, 'request' | 'traits' | 'draw'>) => boolean

export interface ConditionTools {
  readonly keys?: PolicyFile['keys']
  /** must be there where a condition asks for the language */
  readonly languageOf?: LanguageOf | undefined
}

/**
 * Every field of the condition must hold; of a list, one entry.
 *
 * @param name of what asks, unlike any other's of the policy: a percentage is drawn by it
 */
export function compileCondition(when: Condition, name: string, tools: ConditionTools): Holds {
  const { keys = {}, languageOf } = tools
  const patterns = when.regex?.map(compilePattern)
  const hasKeyword = when.keywords && compileKeywords(when.keywords)
  const { characters, metadata, tags, tier, key, tools: calls, images, language, percent } = when
  if (language && !languageOf)
    throw new Error('the policy asks for languages, and nothing tells them')
  return ({ request, traits, draw }) => {
    const caller = request.caller.name
    const given = request.hints.metadata ?? {}
    return (
      (!hasKeyword || hasKeyword(traits)) &&
      (!patterns || patterns.some((pattern) => pattern.test(traits.question))) &&
      (!tags || tags.some((tag) => traits.tags.includes(tag))) &&
      (!tier || tier.includes(keys[caller]?.tier ?? '')) &&
      (!key || key.includes(caller)) &&
      (!characters ||
        (traits.text.length >= (characters.min ?? 0) &&
          traits.text.length <= (characters.max ?? Infinity))) &&
      (calls === undefined || calls === traits.tools) &&
      (images === undefined || images === traits.images) &&
      Object.entries(metadata ?? {}).every(([field, test]) =>
        passesTest(test, Object.hasOwn(given, field) ? given[field] : undefined),
      ) &&
      (!language || language.includes(languageOf?.(traits.question) ?? '')) &&
      // last, so that only requests that all else holds for are drawn
      (percent === undefined || draw(name, percent / 100))
    )
  }
}
