// Cases of the AI SDK, for each major version of it.
import { z } from 'zod'

export function aiSdkCases(
  { generateText, generateObject, streamText, streamObject, tool, stepCountIs, isStepCount },
  provider,
  options,
) {
  const common = { model: provider.chat(options.model), maxRetries: 0 }
  const schema = z.object({ city: z.string(), days: z.number() })
  const weather = tool({
    description: 'the weather',
    inputSchema: schema,
    execute: async ({ city }) => `rain in ${city}`,
  })
  const told = ({ text, toolCalls, toolResults, finishReason, usage, steps, reasoningText }) => ({
    text,
    reasoningText,
    toolCalls,
    toolResults,
    finishReason,
    usage,
    steps: steps?.map(({ text: said, finishReason: why, usage: counts, toolCalls: calls }) => ({
      said,
      why,
      counts,
      calls,
    })),
  })
  const streamed = async (given) => {
    const failures = []
    const result = streamText({ ...common, ...given, onError: ({ error }) => failures.push(error) })
    const types = []
    let text = ''
    for await (const part of result.fullStream) {
      types.push(part.type)
      if (part.type === 'text-delta') text += part.text
    }
    if (failures.length > 0) throw failures[0]
    return {
      types,
      text,
      usage: await result.usage,
      calls: await result.toolCalls,
      why: await result.finishReason,
    }
  }
  const stopWhen = (stepCountIs ?? isStepCount)(3)
  return {
    plain: async () =>
      told(await generateText({ ...common, prompt: 'hi', temperature: 0.2, maxOutputTokens: 50 })),
    'with a system message': async () =>
      told(
        await generateText({
          ...common,
          system: 'Be brief.',
          messages: [{ role: 'user', content: 'hi' }],
        }),
      ),
    streamed: () => streamed({ prompt: 'hi' }),
    'a tool and its result': async () =>
      told(await generateText({ ...common, prompt: 'weather?', tools: { weather }, stopWhen })),
    'tools twice, streamed': () => streamed({ prompt: 'twice', tools: { weather }, stopWhen }),
    structured: async () => (await generateObject({ ...common, prompt: 'hi', schema })).object,
    'structured, streamed': async () => {
      const { partialObjectStream } = streamObject({ ...common, prompt: 'hi', schema })
      const parts = []
      for await (const part of partialObjectStream) parts.push(part)
      return parts.at(-1)
    },
    'fails with 400': () => generateText({ ...common, prompt: 'fail 400' }),
    'fails as too long': () => generateText({ ...common, prompt: 'fail context' }),
    'fails with 500': () => generateText({ ...common, prompt: 'fail 500' }),
    'fails streamed': () => streamed({ prompt: 'fail 400' }),
  }
}
