import { Agent, OpenAIChatCompletionsModel, run, setTracingDisabled, tool } from '@openai/agents'
import { OpenAI } from 'openai6'
import { z } from 'zod'

setTracingDisabled(true)
const parameters = z.object({ city: z.string(), days: z.number() })
const weather = tool({
  name: 'weather',
  description: 'the weather',
  parameters,
  execute: async ({ city }) => `rain in ${city}`,
})

export function cases({ baseURL, apiKey, model }) {
  const chat = new OpenAIChatCompletionsModel(new OpenAI({ apiKey, baseURL, maxRetries: 0 }), model)
  const agent = (more = {}) =>
    new Agent({ name: 'a', instructions: 'Be brief.', model: chat, ...more })
  const told = ({ finalOutput, history, rawResponses }) => ({
    finalOutput,
    history: history.map(({ id: _, ...item }) => item),
    usage: rawResponses.map(({ usage }) => usage),
  })
  return {
    plain: async () => told(await run(agent(), 'hi')),
    'a tool and its result': async () => told(await run(agent({ tools: [weather] }), 'weather?')),
    'two calls at once': async () => told(await run(agent({ tools: [weather] }), 'twice')),
    structured: async () => (await run(agent({ outputType: parameters }), 'hi')).finalOutput,
    streamed: async () => {
      const result = await run(agent({ tools: [weather] }), 'weather?', { stream: true })
      const types = []
      for await (const event of result) types.push([event.type, event.name ?? event.data?.type])
      await result.completed
      return { types, finalOutput: result.finalOutput }
    },
    'fails with 400': () => run(agent(), 'fail 400'),
    'fails as too long': () => run(agent(), 'fail context'),
  }
}
