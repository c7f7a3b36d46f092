import { anthropicUsage, toCompletion } from './anthropic-answer.ts'
import { toAnthropic } from './anthropic-request.ts'
import { AnthropicDecoder } from './anthropic-stream.ts'
import { AnsweredError, type Dialect, MalformedAnswer, parsedObject } from './dialect.ts'
import type { ChatBody } from './upstream.ts'

/** The version of the Messages API that is spoken here. */
const API_VERSION = '2023-06-01'

/**
 * Anthropic's Messages API behind OpenAI's chat completions: text, images, tools, streaming.
 *
 * @param now milliseconds since 1970: Anthropic's answers carry no time, OpenAI's do
 */
export const anthropicDialect = (now: () => number): Dialect => ({
  path: (endpoint) => (endpoint === 'chat' ? '/messages' : undefined),
  headers: (key) => ({
    'anthropic-version': API_VERSION,
    ...(key === undefined ? {} : { 'x-api-key': key }),
  }),
  request: ({ body }) => toAnthropic(body as ChatBody),
  answer(_, text) {
    const message = parsedObject(text, 'the answer')
    if (message.type === 'error') {
      const { message: reason } = (message.error ?? {}) as { message?: unknown }
      throw new AnsweredError(String(reason ?? 'error'))
    }
    if (!Array.isArray(message.content)) {
      throw new MalformedAnswer('the answer has no list of content')
    }
    const usage = anthropicUsage(message.usage)
    return { body: toCompletion(message, usage, seconds(now)), usage, verbatim: false }
  },
  stream: (call) => new AnthropicDecoder(call, seconds(now)),
})

const seconds = (now: () => number): number => Math.floor(now() / 1000)
