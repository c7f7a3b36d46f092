// Cases of OpenAI's own client, for each major version of it.
const user = (content) => [{ role: 'user', content }]
export const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'the weather of a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' } },
      required: ['city', 'days'],
      additionalProperties: false,
    },
  },
}
const format = {
  type: 'json_schema',
  json_schema: { name: 'stay', strict: true, schema: weather.function.parameters },
}

export function openAiCases(client, { model }) {
  const { completions } = client.chat
  const collected = async (body) => {
    const chunks = []
    for await (const chunk of await completions.create({ model, stream: true, ...body }))
      chunks.push(chunk)
    return chunks
  }
  const final = async (body) => {
    const stream = completions.stream({ model, ...body })
    const events = []
    for (const name of ['content', 'functionToolCall', 'finalContent', 'chunk'])
      stream.on(name, (...given) => events.push([name, ...given]))
    return [await stream.finalChatCompletion(), events]
  }
  const create = (body) => completions.create({ model, ...body })
  return {
    plain: () => create({ messages: user('hi') }),
    'plain with parts': () =>
      create({
        messages: user([{ type: 'text', text: 'hi' }]),
        temperature: 0.3,
        max_tokens: 50,
        seed: 7,
      }),
    streamed: () => collected({ messages: user('hi') }),
    'streamed with counts': () =>
      collected({ messages: user('hi'), stream_options: { include_usage: true } }),
    'stream helper': () => final({ messages: user('hi') }),
    tool: () => create({ messages: user('weather?'), tools: [weather] }),
    'tools twice, streamed': () => collected({ messages: user('twice'), tools: [weather] }),
    'tools, stream helper': () => final({ messages: user('twice'), tools: [weather] }),
    'tool results': () =>
      create({
        messages: [
          ...user('weather?'),
          {
            role: 'assistant',
            content: null,
            tool_calls: [
              { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{}' } },
            ],
          },
          { role: 'tool', tool_call_id: 'call_1', content: 'rain' },
        ],
        tools: [weather],
      }),
    structured: async () =>
      (await completions.parse({ model, messages: user('hi'), response_format: format })).choices,
    'structured, streamed': () => final({ messages: user('hi'), response_format: format }),
    'fails with 400': () => create({ messages: user('fail 400') }),
    'fails as too long': () => create({ messages: user('fail context') }),
    'fails with 422': () => create({ messages: user('fail 422') }),
    'fails with 500': () => create({ messages: user('fail 500') }),
    'fails streamed': () => collected({ messages: user('fail 400') }),
  }
}
