import { tool } from '@langchain/core/tools'
import { ChatOpenAI } from '@langchain/openai'
import { z } from 'zod'

const schema = z.object({ city: z.string(), days: z.number() })
const weather = tool(async ({ city }) => `rain in ${city}`, {
  name: 'weather',
  description: 'the weather',
  schema,
})

export function cases({ baseURL, apiKey, model }) {
  const chat = new ChatOpenAI({
    model,
    apiKey,
    maxRetries: 0,
    configuration: { baseURL },
    streamUsage: true,
  })
  const told = ({ content, tool_calls, usage_metadata, response_metadata, additional_kwargs }) => ({
    content,
    tool_calls,
    usage_metadata,
    response_metadata,
    additional_kwargs,
  })
  const streamed = async (runnable, prompt) => {
    const chunks = []
    for await (const chunk of await runnable.stream(prompt)) chunks.push(told(chunk))
    return chunks
  }
  return {
    plain: async () => told(await chat.invoke('hi')),
    streamed: () => streamed(chat, 'hi'),
    tool: async () => told(await chat.bindTools([weather]).invoke('weather?')),
    'tools twice, streamed': () => streamed(chat.bindTools([weather]), 'twice'),
    'structured by schema': () =>
      chat.withStructuredOutput(schema, { method: 'jsonSchema' }).invoke('hi'),
    'structured by tool': () =>
      chat.withStructuredOutput(schema, { method: 'functionCalling', name: 'stay' }).invoke('hi'),
    'structured by JSON mode': () =>
      chat.withStructuredOutput(schema, { method: 'jsonMode' }).invoke('hi'),
    batch: async () => (await chat.batch(['a', 'b', 'c'])).map(told),
    'fails with 400': () => chat.invoke('fail 400'),
    'fails as too long': () => chat.invoke('fail context'),
    'fails with 500': () => chat.invoke('fail 500'),
  }
}
