import { Portkey } from 'portkey-ai'
import { weather } from '../openai-cases.mjs'

export function cases({ baseURL, apiKey, model }) {
  const { completions } = new Portkey({ apiKey, baseURL, maxRetries: 0 }).chat
  const user = (content) => [{ role: 'user', content }]
  const create = async (body) => {
    const { getHeaders: _, ...answer } = await completions.create({ model, ...body })
    return answer
  }
  return {
    plain: () => create({ messages: user('hi') }),
    streamed: async () => {
      const chunks = []
      for await (const chunk of await completions.create({
        model,
        messages: user('hi'),
        stream: true,
      }))
        chunks.push(chunk)
      return chunks
    },
    tool: () => create({ messages: user('weather?'), tools: [weather] }),
    'fails with 400': () => create({ messages: user('fail 400') }),
    'fails as too long': () => create({ messages: user('fail context') }),
  }
}
