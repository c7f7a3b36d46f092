import { tool } from '@langchain/core/tools'
import { createReactAgent } from '@langchain/langgraph/prebuilt'
import { ChatOpenAI } from '@langchain/openai'
import { z } from 'zod'

const schema = z.object({ city: z.string(), days: z.number() })
const weather = tool(async ({ city }) => `rain in ${city}`, {
  name: 'weather',
  description: 'the weather',
  schema,
})

export function cases({ baseURL, apiKey, model }) {
  const llm = new ChatOpenAI({ model, apiKey, maxRetries: 0, configuration: { baseURL } })
  const agent = createReactAgent({ llm, tools: [weather] })
  const asked = (content) => ({ messages: [{ role: 'user', content }] })
  const told = ({ messages }) =>
    messages.map((message) => [message.getType(), message.content, message.tool_calls])
  return {
    agent: async () => told(await agent.invoke(asked('weather?'))),
    'two calls at once': async () => told(await agent.invoke(asked('twice'))),
    streamed: async () => {
      const updates = []
      for await (const update of await agent.stream(asked('weather?'), { streamMode: 'updates' })) {
        updates.push(Object.entries(update).map(([node, state]) => [node, told(state)]))
      }
      return updates
    },
    'fails with 400': () => agent.invoke(asked('fail 400')),
  }
}
