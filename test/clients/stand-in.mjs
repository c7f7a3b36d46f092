// A stand-in for an OpenAI-compatible API, the same every time: what it answers depends on the last user message alone.
import { createServer } from 'node:http'

const USAGE = { prompt_tokens: 12, completion_tokens: 4, total_tokens: 16 }
const HEAD = { id: 'chatcmpl-1', created: 1_700_000_000, system_fingerprint: 'fp' }

const errors = {
  'fail 400': [
    400,
    {
      message: 'temperature: too hot',
      type: 'invalid_request_error',
      param: 'temperature',
      code: 'invalid_value',
    },
  ],
  'fail context': [
    400,
    {
      message: 'this is too long',
      type: 'invalid_request_error',
      param: 'messages',
      code: 'context_length_exceeded',
    },
  ],
  'fail 422': [
    422,
    { message: 'not like this', type: 'invalid_request_error', param: null, code: 'unprocessable' },
  ],
  'fail 500': [500, { message: 'broken', type: 'server_error', param: null, code: null }],
}

/** @returns {Promise<{url: string, close(): void}>} */
export async function standIn() {
  const server = createServer(async (request, response) => {
    const parts = []
    for await (const part of request) parts.push(part)
    const body = JSON.parse(Buffer.concat(parts).toString() || '{}')
    const json = (status, value) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    if (!request.url.startsWith('/v1/chat/completions'))
      return json(404, { error: { message: 'no such path' } })
    const said = lastText(body.messages)
    const failure = Object.entries(errors).find(([words]) => said.includes(words))?.[1]
    if (failure) return json(failure[0], { error: failure[1] })
    const message = answerTo(body)
    if (body.stream) return stream(response, body, message)
    const finish_reason = message.tool_calls ? 'tool_calls' : 'stop'
    const choices = [{ index: 0, message, logprobs: null, finish_reason }]
    json(200, { ...HEAD, object: 'chat.completion', model: body.model, choices, usage: USAGE })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

function lastText(messages = []) {
  const { content = '' } = messages.findLast(({ role }) => role === 'user') ?? {}
  return typeof content === 'string'
    ? content
    : (content ?? []).map(({ text = '' }) => text).join('')
}

/** A call of the first tool, unless its result is there; JSON where it is asked for; else a sentence. */
function answerTo({ messages = [], tools, response_format: format, tool_choice: choice }) {
  const done = messages.at(-1)?.role === 'tool'
  const args = JSON.stringify({ city: 'Oslo', days: 2 })
  if (tools?.length > 0 && !done && choice !== 'none') {
    const call = (id, name) => ({ id, type: 'function', function: { name, arguments: args } })
    const name = choice?.function?.name ?? tools[0].function.name
    const calls = lastText(messages).includes('twice')
      ? [call('call_1', name), call('call_2', name)]
      : [call('call_1', name)]
    return { role: 'assistant', content: null, refusal: null, tool_calls: calls }
  }
  const content =
    format && format.type !== 'text' ? args : `Hello, "wörld" ☃ (${messages.length} messages)`
  return { role: 'assistant', content, refusal: null }
}

function stream(response, body, message) {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const event = (choices, more = {}) =>
    response.write(
      `data: ${JSON.stringify({ ...HEAD, object: 'chat.completion.chunk', model: body.model, choices, ...more })}\n\n`,
    )
  const delta = (its, finish_reason = null) =>
    event([{ index: 0, delta: its, logprobs: null, finish_reason }])
  delta({ role: 'assistant', content: message.content === null ? null : '' })
  for (const piece of message.content?.match(/.{1,7}/gsu) ?? []) delta({ content: piece })
  for (const [index, call] of (message.tool_calls ?? []).entries()) {
    delta({
      tool_calls: [{ index, ...call, function: { name: call.function.name, arguments: '' } }],
    })
    for (const piece of call.function.arguments.match(/.{1,5}/gs))
      delta({ tool_calls: [{ index, function: { arguments: piece } }] })
  }
  delta({}, message.tool_calls ? 'tool_calls' : 'stop')
  if (body.stream_options?.include_usage) event([], { usage: USAGE })
  response.end('data: [DONE]\n\n')
}
