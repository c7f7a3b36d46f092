import type { Answer } from '../gateway/contracts.ts'
import { UpstreamError } from '../upstreams/failure.ts'
import type { CompleteAnswer } from '../upstreams/upstream.ts'

/** A whole answer: the input of checks, votes and judges. */
export interface WholeAnswer extends Answer {
  readonly answer: CompleteAnswer
}

export interface ToolCall {
  readonly name: string
  /** JSON, as the model wrote it */
  readonly arguments: string
}

/** The content of an answer's first choice. */
export interface Said {
  /** '' if it only calls tools; a refusal's text is its text */
  readonly text: string
  readonly calls: readonly ToolCall[]
  readonly finishReason: string | undefined
  /** of its tokens, natural logarithms; undefined if the upstream reported none */
  readonly logprobs: readonly number[] | undefined
}

type Fields = Readonly<Record<string, unknown>>

const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {}

/** An answer for strategies. @throws UpstreamError `malformed` if it has no message */
export function wholeOf(given: Answer): WholeAnswer {
  const { answer, upstream } = given
  if (answer.kind !== 'complete') {
    // neither was asked for, so no upstream gives one
    answer.cancel()
    throw new TypeError('expected a whole answer, got parts of one')
  }
  if (hasMessages(answer.body)) return { ...given, answer }
  throw new UpstreamError('malformed', { upstream, reason: 'a choice has no message' })
}

function hasMessages({ choices }: Fields): boolean {
  if (!Array.isArray(choices) || choices.length === 0) return false
  return choices.every((choice) => {
    const { message } = fieldsOf(choice)
    return typeof message === 'object' && message !== null
  })
}

export function saidBy({ answer }: WholeAnswer): Said {
  const choice = fieldsOf((answer.body.choices as readonly unknown[] | undefined)?.[0])
  const { finish_reason: reason, logprobs } = choice
  const { content, refusal, tool_calls: calls, function_call: legacy } = fieldsOf(choice.message)
  const text = textOf(content)
  return {
    text: text === '' && typeof refusal === 'string' ? refusal : text,
    calls: [
      ...(Array.isArray(calls) ? calls.map((call) => toCall(call?.function ?? call?.custom)) : []),
      ...(legacy ? [toCall(legacy)] : []),
    ],
    finishReason: typeof reason === 'string' ? reason : undefined,
    logprobs: tokenLogprobs(fieldsOf(logprobs).content),
  }
}

/** Neither text nor a tool call: not an answer, whatever its status. */
export const saysNothing = ({ text, calls }: Said): boolean =>
  calls.length === 0 && text.trim() === ''

/** As text, for a judge. */
export function inWords({ text, calls }: Said): string {
  const called = calls.map(({ name, arguments: given }) => `[calls ${name}(${given})]`)
  return [text, ...called].filter((part) => part !== '').join('\n')
}

/** Some servers answer in parts, the format of user messages. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((part) => (typeof part?.text === 'string' ? part.text : '')).join('')
}

function toCall(called: unknown): ToolCall {
  const { name, arguments: given, input } = fieldsOf(called)
  const text = given ?? input ?? ''
  return {
    name: String(name ?? ''),
    arguments: typeof text === 'string' ? text : JSON.stringify(text),
  }
}

function tokenLogprobs(content: unknown): readonly number[] | undefined {
  if (!Array.isArray(content) || content.length === 0) return undefined
  const values = content.map((token) => token?.logprob)
  return values.every((value) => typeof value === 'number' && !Number.isNaN(value))
    ? values
    : undefined
}
