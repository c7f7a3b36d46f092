import { tokenCount } from './dialect.ts'
import type { Usage } from './upstream.ts'

/** Chat and embeddings count `prompt_tokens`, responses `input_tokens`. */
export function usageOf(value: unknown): Usage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const counts = value as Record<string, unknown>
  const inputTokens = tokenCount(counts.prompt_tokens ?? counts.input_tokens)
  const details = counts.prompt_tokens_details ?? counts.input_tokens_details
  // DeepSeek's word for it is the second one
  const cached = tokenCount(
    (details as { cached_tokens?: unknown } | null | undefined)?.cached_tokens ??
      counts.prompt_cache_hit_tokens,
  )
  return {
    inputTokens,
    outputTokens: tokenCount(counts.completion_tokens ?? counts.output_tokens),
    ...(cached > 0 ? { cachedInputTokens: Math.min(cached, inputTokens) } : {}),
  }
}

/** What the upstream said of its own failure. */
export function errorText(error: unknown): string {
  const message = (error as { message?: unknown }).message
  return String(message ?? JSON.stringify(error)).slice(0, 300)
}
