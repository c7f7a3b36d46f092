import type { Answer } from '../gateway/strategy.ts'
import type { CompleteAnswer } from '../upstreams/upstream.ts'

/** An answer that is whole: what checks, votes and judges look at. */
export interface WholeAnswer extends Answer {
  readonly answer: CompleteAnswer
}

export interface ToolCall {
  readonly name: string
  /** JSON, as the model wrote it */
  readonly arguments: string
}

/** What an answer's first choice says. */
export interface Said {
  /** '' where it only calls tools; a refusal's text is its text */
  readonly text: string
  readonly calls: readonly ToolCall[]
  readonly finishReason: string | undefined
  /** of its tokens, natural logarithms; undefined where the upstream told none */
  readonly logprobs: readonly number[] | undefined
}

interface Choice {
  readonly message?: {
    readonly content?: unknown
    readonly refusal?: unknown
    readonly tool_calls?: unknown
    readonly function_call?: unknown
  }
  readonly finish_reason?: unknown
  readonly logprobs?: { readonly content?: unknown } | null
}

export function saidBy({ answer }: WholeAnswer): Said {
  const choice = (answer.body.choices as readonly Choice[] | undefined)?.[0] ?? {}
  const { message = {}, finish_reason: reason, logprobs } = choice
  const { content, refusal, tool_calls: calls, function_call: legacy } = message
  const text = textOf(content)
  return {
    text: text === '' && typeof refusal === 'string' ? refusal : text,
    calls: [
      ...(Array.isArray(calls) ? calls.map((call) => toCall(call?.function ?? call?.custom)) : []),
      ...(legacy ? [toCall(legacy)] : []),
    ],
    finishReason: typeof reason === 'string' ? reason : undefined,
    logprobs: tokenLogprobs(logprobs?.content),
  }
}

/** Neither text nor a call of a tool: no answer, whatever its status. */
export const saysNothing = ({ text, calls }: Said): boolean =>
  calls.length === 0 && text.trim() === ''

/** In words, for a judge. */
export function inWords({ text, calls }: Said): string {
  const called = calls.map(({ name, arguments: given }) => `[calls ${name}(${given})]`)
  return [text, ...called].filter((part) => part !== '').join('\n')
}

/** Some servers answer in parts, as questions are asked. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((part) => (typeof part?.text === 'string' ? part.text : '')).join('')
}

function toCall(called: unknown): ToolCall {
  const { name, arguments: given, input } = (called ?? {}) as Record<string, unknown>
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
