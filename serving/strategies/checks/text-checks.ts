import { Compile } from 'typebox/schema'
import { compilePattern } from '../../policy/pattern.ts'
import type { Said } from '../chat-answer.ts'
import type { CheckSettings } from '../settings.ts'
import { type Check, yesOrNo } from './check.ts'

type Of<K extends CheckSettings['kind']> = Extract<CheckSettings, { kind: K }>
type TextCheck = Pick<Check, 'check'>

/** Looks at text. An answer that calls tools instead of saying anything is judged by no word it did not say. */
const ofText = (good: (text: string, said: Said) => boolean): TextCheck => ({
  check: ({ said }) =>
    yesOrNo((said.calls.length > 0 && said.text === '') || good(said.text, said)),
})

export function regexCheck({ pattern, found = true }: Of<'regex'>): TextCheck {
  const compiled = compilePattern(pattern)
  return ofText((text) => compiled.test(text) === found)
}

/** Characters of the answer's text, the white space around it left out. */
export function lengthCheck({ min = 0, max = Number.POSITIVE_INFINITY }: Of<'length'>): TextCheck {
  return ofText((text) => {
    const { length } = text.trim()
    return length >= min && length <= max
  })
}

/** The whole text must be JSON: what a program reads has no words around it. */
export function schemaCheck({ schema }: Of<'json_schema'>): TextCheck {
  const compiled = Compile(schema)
  return ofText((text) => {
    try {
      return compiled.Check(JSON.parse(text))
    } catch {
      return false
    }
  })
}

const ENDED_WELL = ['stop', 'tool_calls', 'function_call']

export function finishCheck({ allowed = ENDED_WELL }: Of<'finish_reason'>): TextCheck {
  return { check: ({ said }) => yesOrNo(allowed.includes(said.finishReason ?? '')) }
}
