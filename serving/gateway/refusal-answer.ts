import type { StreamAnswer } from '../upstreams/upstream.ts'
import type { GatewayRequest, RefusePlan } from './plan.ts'

const head = (request: GatewayRequest, object: string): Record<string, unknown> => ({
  id: request.id,
  object,
  created: Math.floor(request.time / 1000),
  model: request.body.model,
})

/** A refusal that the application shows as an answer. */
export function refusalAnswer(
  { message }: RefusePlan,
  request: GatewayRequest,
): Record<string, unknown> {
  return {
    ...head(request, 'chat.completion'),
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: message, refusal: null },
        logprobs: null,
        finish_reason: 'content_filter',
      },
    ],
    usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
  }
}

/** The same as a stream. */
export function refusalChunks({ message }: RefusePlan, request: GatewayRequest): StreamAnswer {
  const event = (delta: object, reason: string | null): string => {
    const choices = [{ index: 0, delta, logprobs: null, finish_reason: reason }]
    return `data: ${JSON.stringify({ ...head(request, 'chat.completion.chunk'), choices })}\n\n`
  }
  async function* chunks(): AsyncGenerator<string> {
    yield event({ role: 'assistant', content: message }, null)
    yield event({}, 'content_filter')
  }
  return { kind: 'stream', chunks: chunks(), usage: () => undefined, cancel: () => {} }
}
