import { OpenAI } from '@llamaindex/openai'
import { tool } from 'llamaindex'
import { z } from 'zod'

const parameters = z.object({ city: z.string(), days: z.number() })
const weather = tool({
  name: 'weather',
  description: 'the weather',
  parameters,
  execute: ({ city }) => `rain in ${city}`,
})

export function cases({ baseURL, apiKey, model }) {
  const llm = new OpenAI({ model, apiKey, baseURL, maxRetries: 0 })
  const user = (content) => [{ role: 'user', content }]
  return {
    plain: async () => (await llm.chat({ messages: user('hi') })).message,
    streamed: async () => {
      const chunks = []
      for await (const { delta, options } of await llm.chat({ messages: user('hi'), stream: true }))
        chunks.push([delta, options])
      return chunks
    },
    tool: async () => (await llm.chat({ messages: user('weather?'), tools: [weather] })).message,
    complete: async () => (await llm.complete({ prompt: 'hi' })).text,
    'fails with 400': () => llm.chat({ messages: user('fail 400') }),
    'fails as too long': () => llm.chat({ messages: user('fail context') }),
  }
}
