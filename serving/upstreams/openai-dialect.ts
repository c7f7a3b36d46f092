import { withField, withModel } from './body-text.ts'
import {
  AnsweredError,
  asksForUsage,
  type Dialect,
  MalformedAnswer,
  parsedObject,
} from './dialect.ts'
import { errorText, usageOf } from './openai-answer.ts'
import { ChatDecoder, ResponsesDecoder } from './openai-stream.ts'
import type { Endpoint } from './upstream.ts'

const PATHS: Record<Endpoint, string> = {
  chat: '/chat/completions',
  responses: '/responses',
  embeddings: '/embeddings',
}

/** Any server that speaks OpenAI's API: OpenAI, Azure's v1, vLLM, Ollama, llama.cpp, LiteLLM and so on. */
export const openAiDialect: Dialect = {
  path: (endpoint) => PATHS[endpoint],
  headers: (key) => (key === undefined ? {} : { authorization: `Bearer ${key}` }),
  request({ endpoint, body, text }) {
    const own = text === undefined ? undefined : withModel(text, body.model)
    if (endpoint !== 'chat' || body.stream !== true || asksForUsage(body)) return own ?? body
    // without it a stream tells no tokens, and nobody would know what it cost
    const counted = { ...(body.stream_options as object), include_usage: true }
    if (own !== undefined && body.stream_options === undefined) {
      return withField(own, 'stream_options', counted)
    }
    return { ...body, stream_options: counted }
  },
  answer({ endpoint }, text) {
    const body = parsedObject(text, 'the answer')
    if (body.error) throw new AnsweredError(errorText(body.error))
    if (endpoint === 'chat' && !Array.isArray(body.choices)) {
      throw new MalformedAnswer('the answer has no list of choices')
    }
    return { body, usage: usageOf(body.usage), verbatim: true }
  },
  stream: (call) => (call.endpoint === 'chat' ? new ChatDecoder(call) : new ResponsesDecoder()),
}
