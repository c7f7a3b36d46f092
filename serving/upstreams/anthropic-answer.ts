import { tokenCount } from './dialect.ts'
import type { Usage } from './upstream.ts'

interface ContentBlock {
  readonly type: string
  readonly text?: string
  readonly id?: string
  readonly name?: string
  readonly input?: unknown
}

/** A message of Anthropic's as a chat completion; `created` in seconds since 1970. */
export function toCompletion(
  message: Record<string, unknown>,
  usage: Usage | undefined,
  created: number,
): Record<string, unknown> {
  const content = message.content as ContentBlock[]
  const text = content.map((block) => (block.type === 'text' ? (block.text ?? '') : '')).join('')
  const calls = content
    .filter(({ type }) => type === 'tool_use')
    .map(({ id, name, input }) => ({
      id,
      type: 'function',
      function: { name, arguments: JSON.stringify(input ?? {}) },
    }))
  return {
    id: message.id,
    object: 'chat.completion',
    created,
    model: message.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text === '' && calls.length > 0 ? null : text,
          refusal: null,
          ...(calls.length > 0 ? { tool_calls: calls } : {}),
        },
        logprobs: null,
        finish_reason: finishReason(message.stop_reason),
      },
    ],
    ...(usage ? { usage: openAiUsage(usage) } : {}),
  }
}

/** Tokens read from and written to the cache are input that was billed, if at other prices. */
export function anthropicUsage(value: unknown): Usage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const counts = value as Record<string, unknown>
  const read = tokenCount(counts.cache_read_input_tokens)
  const written = tokenCount(counts.cache_creation_input_tokens)
  return {
    inputTokens: tokenCount(counts.input_tokens) + read + written,
    outputTokens: tokenCount(counts.output_tokens),
    ...(read > 0 ? { cachedInputTokens: read } : {}),
    ...(written > 0 ? { cacheWriteTokens: written } : {}),
  }
}

export function openAiUsage({ inputTokens, outputTokens }: Usage): Record<string, number> {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  }
}

export function finishReason(stop: unknown): string {
  if (stop === 'max_tokens' || stop === 'model_context_window_exceeded') return 'length'
  if (stop === 'tool_use') return 'tool_calls'
  return stop === 'refusal' ? 'content_filter' : 'stop'
}
