import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * A model behind three APIs: OpenAI's chat completions and responses, and Anthropic's messages. What it answers is
 * written in the prompt: `want=plain|call|parallel|json|image|think|fail|hang`. Written by hand from the APIs'
 * references, without the product's own code.
 */
export interface StandIn {
  /** with `/v1` */
  readonly url: string
  readonly received: {
    path: string
    headers: IncomingMessage['headers']
    body: Json
    text: string
  }[]
  /** resolves when an answer that hangs has been given up */
  cut(): Promise<void>
  close(): Promise<void>
}

type Json = Record<string, unknown>

export const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

interface Answer {
  readonly thinking?: string
  readonly text?: string
  readonly calls?: readonly { id: string; name: string; input: object }[]
}

const OSLO = { id: 'call_a', name: 'weather', input: { city: 'Oslo' } }
const ROME = { id: 'call_b', name: 'weather', input: { city: 'Rome' } }

function answerFor(want: string, text: string): Answer {
  switch (want) {
    case 'call':
      // the second request of the loop has the result
      return text.includes('5 degrees') ? { text: 'It is 5 degrees.' } : { calls: [OSLO] }
    case 'parallel':
      return { calls: [OSLO, ROME] }
    case 'json':
      return { text: text.includes('"city"') ? '{"city":"Oslo"}' : 'no schema came' }
    case 'image':
      return { text: text.includes(PIXEL) ? 'an image' : 'no image came' }
    case 'think':
      return { thinking: 'Let me see.', text: '42' }
    default:
      return { text: 'Hello world' }
  }
}

/**
 * @param responses whether `/v1/responses` exists
 * @param mistral streams as Mistral writes them: whole calls, and the counts in the last chunk of the choice
 */
export async function standIn(responses: boolean, mistral = false): Promise<StandIn> {
  const received: StandIn['received'] = []
  const waiting: (() => void)[] = []
  const server = createServer(async (request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) for (const resolve of waiting.splice(0)) resolve()
    })
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const text = Buffer.concat(parts).toString()
    const body = JSON.parse(text || '{}') as Json
    const path = request.url!.split('?')[0]!
    received.push({ path, headers: request.headers, body, text })
    if (request.method === 'DELETE') return json(response, 200, { deleted: true })
    const want = /want=(\w+)/.exec(text)?.[1] ?? 'plain'
    const api = path.slice('/v1/'.length)
    if (api === 'messages/count_tokens') return json(response, 200, { input_tokens: 77 })
    if (want === 'fail') return fail(response, api)
    const answer = answerFor(want, text)
    const model = String(body.model)
    const stream = body.stream === true
    if (api === 'chat/completions') chat(response, answer, model, stream, want === 'hang', mistral)
    else if (api === 'messages') messages(response, answer, model, stream, want === 'hang')
    else if (api === 'responses' && responses)
      respond(response, answer, model, stream, want === 'hang')
    else json(response, 404, { detail: 'Not Found' })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    received,
    cut: () => new Promise((resolve) => waiting.push(resolve)),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

function fail(response: ServerResponse, api: string): void {
  const message = 'the prompt is not allowed'
  json(
    response,
    400,
    api === 'messages'
      ? { type: 'error', error: { type: 'invalid_request_error', message } }
      : { error: { message, type: 'invalid_request_error', code: 'bad_prompt', param: null } },
  )
}

/** Writes events one by one; one that hangs stops after the first three. */
function events(response: ServerResponse, list: readonly string[], hang: boolean): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const event of hang ? list.slice(0, 3) : list) response.write(event)
  if (!hang) response.end()
}

const halves = (text: string): [string, string] => {
  const middle = Math.ceil(text.length / 2)
  return [text.slice(0, middle), text.slice(middle)]
}

function chat(
  response: ServerResponse,
  a: Answer,
  model: string,
  stream: boolean,
  hang: boolean,
  mistral: boolean,
) {
  const calls = a.calls?.map(({ id, name, input }) => ({
    id,
    type: 'function',
    function: { name, arguments: JSON.stringify(input) },
  }))
  const finish = calls ? 'tool_calls' : 'stop'
  const usage = {
    prompt_tokens: 100,
    completion_tokens: 50,
    total_tokens: 150,
    prompt_tokens_details: { cached_tokens: 30 },
  }
  const head = { id: 'chatcmpl-9', created: 1, model }
  if (!stream) {
    const message = {
      role: 'assistant',
      content: a.text ?? null,
      ...(a.thinking ? { reasoning_content: a.thinking } : {}),
      ...(calls ? { tool_calls: calls } : {}),
    }
    const choices = [{ index: 0, message, finish_reason: finish }]
    return json(response, 200, { ...head, object: 'chat.completion', choices, usage })
  }
  const chunk = (delta: object, reason: string | null = null, more: object = {}): string =>
    `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: reason }], ...more })}\n\n`
  const list = [chunk({ role: 'assistant', content: '' })]
  if (a.thinking)
    for (const part of halves(a.thinking)) list.push(chunk({ reasoning_content: part }))
  if (a.text) for (const part of halves(a.text)) list.push(chunk({ content: part }))
  for (const [index, call] of (calls ?? []).entries()) {
    if (mistral) {
      list.push(chunk({ tool_calls: [{ index, ...call }] }))
      continue
    }
    const [first, second] = halves(call.function.arguments)
    const begun = {
      index,
      id: call.id,
      type: 'function',
      function: { name: call.function.name, arguments: first },
    }
    list.push(chunk({ tool_calls: [begun] }))
    list.push(chunk({ tool_calls: [{ index, function: { arguments: second } }] }))
  }
  list.push(chunk({ content: '' }, finish, mistral ? { usage } : {}))
  if (!mistral) {
    const counts = { ...head, object: 'chat.completion.chunk', choices: [], usage }
    list.push(`data: ${JSON.stringify(counts)}\n\n`)
  }
  list.push('data: [DONE]\n\n')
  events(response, list, hang)
}

function messages(
  response: ServerResponse,
  a: Answer,
  model: string,
  stream: boolean,
  hang: boolean,
) {
  const content: Json[] = [
    ...(a.thinking ? [{ type: 'thinking', thinking: a.thinking, signature: 'sig' }] : []),
    ...(a.text ? [{ type: 'text', text: a.text }] : []),
    ...(a.calls ?? []).map(({ id, name, input }) => ({ type: 'tool_use', id, name, input })),
  ]
  const usage = { input_tokens: 70, cache_read_input_tokens: 30, output_tokens: 50 }
  const reason = a.calls ? 'tool_use' : 'end_turn'
  const head = { id: 'msg_9', type: 'message', role: 'assistant', model, stop_sequence: null }
  if (!stream) return json(response, 200, { ...head, content, stop_reason: reason, usage })
  const event = (type: string, fields: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
  const message = { ...head, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } }
  const list = [event('message_start', { message }), event('ping', {})]
  for (const [index, block] of content.entries()) {
    const start =
      block.type === 'text'
        ? { type: 'text', text: '' }
        : block.type === 'thinking'
          ? { type: 'thinking', thinking: '', signature: '' }
          : { ...block, input: {} }
    list.push(event('content_block_start', { index, content_block: start }))
    const said = String(block.text ?? block.thinking ?? JSON.stringify(block.input))
    for (const part of halves(said)) {
      const delta =
        block.type === 'text'
          ? { type: 'text_delta', text: part }
          : block.type === 'thinking'
            ? { type: 'thinking_delta', thinking: part }
            : { type: 'input_json_delta', partial_json: part }
      list.push(event('content_block_delta', { index, delta }))
    }
    if (block.type === 'thinking') {
      const delta = { type: 'signature_delta', signature: 'sig' }
      list.push(event('content_block_delta', { index, delta }))
    }
    list.push(event('content_block_stop', { index }))
  }
  const delta = { stop_reason: reason, stop_sequence: null }
  list.push(event('message_delta', { delta, usage: { output_tokens: 50 } }))
  list.push(event('message_stop', {}))
  if (hang) list.splice(1, 1)
  events(response, list, hang)
}

function respond(
  response: ServerResponse,
  a: Answer,
  model: string,
  stream: boolean,
  hang: boolean,
) {
  const part = { type: 'output_text', text: a.text, annotations: [], logprobs: [] }
  const output: Json[] = [
    ...(a.thinking
      ? [{ id: 'rs_1', type: 'reasoning', summary: [{ type: 'summary_text', text: a.thinking }] }]
      : []),
    ...(a.text
      ? [{ id: 'msg_1', type: 'message', role: 'assistant', status: 'completed', content: [part] }]
      : []),
    ...(a.calls ?? []).map(({ id, name, input }) => ({
      id: `fc_${id}`,
      type: 'function_call',
      status: 'completed',
      call_id: id,
      name,
      arguments: JSON.stringify(input),
    })),
  ]
  const usage = {
    input_tokens: 100,
    input_tokens_details: { cached_tokens: 30 },
    output_tokens: 50,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 150,
  }
  const head = { id: 'resp_9', object: 'response', created_at: 1, model, error: null, tools: [] }
  const whole = { ...head, status: 'completed', output, usage }
  if (!stream) return json(response, 200, whole)
  let number = 0
  const event = (type: string, fields: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: number++, ...fields })}\n\n`
  const begun = { ...head, status: 'in_progress', output: [], usage: null }
  const list = [event('response.created', { response: begun })]
  for (const [index, item] of output.entries()) {
    const at = { output_index: index, item_id: item.id }
    const empty =
      item.type === 'message'
        ? { content: [] }
        : item.type === 'reasoning'
          ? { summary: [] }
          : { arguments: '' }
    list.push(
      event('response.output_item.added', { output_index: index, item: { ...item, ...empty } }),
    )
    if (item.type === 'message') {
      const of = { ...at, content_index: 0 }
      list.push(event('response.content_part.added', { ...of, part: { ...part, text: '' } }))
      for (const delta of halves(a.text!)) {
        list.push(event('response.output_text.delta', { ...of, delta, logprobs: [] }))
      }
      list.push(event('response.output_text.done', { ...of, text: a.text, logprobs: [] }))
      list.push(event('response.content_part.done', { ...of, part }))
    } else if (item.type === 'reasoning') {
      const of = { ...at, summary_index: 0 }
      const empty = { type: 'summary_text', text: '' }
      list.push(event('response.reasoning_summary_part.added', { ...of, part: empty }))
      list.push(event('response.reasoning_summary_text.delta', { ...of, delta: a.thinking }))
      list.push(event('response.reasoning_summary_text.done', { ...of, text: a.thinking }))
      list.push(
        event('response.reasoning_summary_part.done', {
          ...of,
          part: { ...empty, text: a.thinking },
        }),
      )
    } else {
      for (const delta of halves(String(item.arguments))) {
        list.push(event('response.function_call_arguments.delta', { ...at, delta }))
      }
      list.push(
        event('response.function_call_arguments.done', { ...at, arguments: item.arguments }),
      )
    }
    list.push(event('response.output_item.done', { output_index: index, item }))
  }
  list.push(event('response.completed', { response: whole }))
  events(response, list, hang)
}
