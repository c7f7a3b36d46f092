import { Agent } from '@mastra/core/agent'
import { createTool } from '@mastra/core/tools'
import { createOpenAI } from 'ai6-openai'
import { z } from 'zod'

const inputSchema = z.object({ city: z.string(), days: z.number() })
const weather = createTool({
  id: 'weather',
  description: 'the weather',
  inputSchema,
  execute: async () => 'rain',
})

export function cases({ baseURL, apiKey, model }) {
  const chat = createOpenAI({ apiKey, baseURL }).chat(model)
  const agent = (tools) =>
    new Agent({
      id: 'a',
      name: 'a',
      instructions: 'Be brief.',
      model: chat,
      maxRetries: 0,
      ...(tools ? { tools } : {}),
    })
  const told = ({ text, finishReason, usage, toolCalls, toolResults }) => ({
    text,
    finishReason,
    usage,
    calls: toolCalls?.map(({ payload = {}, ...call }) => [
      payload.toolName ?? call.toolName,
      payload.args ?? call.args,
    ]),
    results: toolResults?.map(({ payload = {}, ...result }) => payload.result ?? result.result),
  })
  return {
    plain: async () => told(await agent().generate('hi')),
    streamed: async () => {
      let text = ''
      for await (const part of (await agent().stream('hi')).textStream) text += part
      return text
    },
    'a tool and its result': async () =>
      told(await agent({ weather }).generate('weather?', { maxSteps: 3 })),
    'fails with 400': () => agent().generate('fail 400', { modelSettings: { maxRetries: 0 } }),
  }
}
