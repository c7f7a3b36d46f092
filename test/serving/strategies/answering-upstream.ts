import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the upstream says to one request. */
export interface Reply {
  readonly text?: string
  /** of each token */
  readonly logprobs?: readonly number[]
  readonly tool?: { readonly name: string; readonly arguments: string }
  readonly finish?: string
  /** of the answer, as it counts them; 500 unless told */
  readonly tokens?: number
  /** of the question; 1000 unless told */
  readonly promptTokens?: number
  /** an HTTP error instead */
  readonly status?: number
  /** never answers */
  readonly hang?: true
  /** as many choices as `n` asks for, each its own */
  readonly choices?: readonly string[]
}

export type Asked = Record<string, unknown> & {
  readonly messages: readonly { readonly role: string; readonly content: string }[]
}

export interface AnsweringUpstream {
  readonly url: string
  readonly asked: Asked[]
  /** what it says; may be changed while it runs */
  reply: (body: Asked, nth: number) => Reply | Promise<Reply>
  /** answers that are open now: asked and neither sent whole nor cut */
  readonly open: number
  /** answers whose connection was closed by the one who asked */
  readonly cut: number
  close(): Promise<void>
}

export const TOKENS = { prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 }

/** An OpenAI-compatible server on a port of its own that says what a function tells it to. */
export async function answeringUpstream(
  reply: AnsweringUpstream['reply'] = () => ({ text: 'fine' }),
): Promise<AnsweringUpstream> {
  const asked: Asked[] = []
  let open = 0
  let cut = 0
  const server = createServer(async (request, response) => {
    open++
    response.on('close', () => {
      open--
      if (!response.writableFinished) cut++
    })
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const body = JSON.parse(Buffer.concat(parts).toString('utf8')) as Asked
    asked.push(body)
    answer(response, body, await upstream.reply(body, asked.length))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const upstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    reply,
    get open() {
      return open
    },
    get cut() {
      return cut
    },
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return upstream
}

function answer(response: ServerResponse, body: Asked, reply: Reply): void {
  if (reply.hang) return
  if (reply.status !== undefined) {
    response.writeHead(reply.status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ error: { message: `status ${reply.status}` } }))
    return
  }
  const head = { id: 'chatcmpl-1', created: 1, model: body.model }
  const { text = null, tool, finish = tool ? 'tool_calls' : 'stop' } = reply
  if (body.stream === true) {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const event = (choices: object[], more: object = {}): string =>
      `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices, ...more })}\n\n`
    response.write(event([{ index: 0, delta: { role: 'assistant', content: text } }]))
    response.write(event([{ index: 0, delta: {}, finish_reason: finish }]))
    response.write(event([], { usage: TOKENS }))
    response.end('data: [DONE]\n\n')
    return
  }
  const calls = tool && [{ id: 'call_1', type: 'function', function: tool }]
  const logprobs =
    body.logprobs === true && reply.logprobs
      ? { content: reply.logprobs.map((logprob) => ({ token: 'x', logprob })) }
      : null
  const one = (content: string | null, index: number): object => ({
    index,
    message: { role: 'assistant', content, ...(calls ? { tool_calls: calls } : {}) },
    logprobs,
    finish_reason: finish,
  })
  response.writeHead(200, { 'content-type': 'application/json' })
  const choices = (reply.choices ?? [text]).map(one)
  const usage = {
    ...TOKENS,
    completion_tokens: reply.tokens ?? TOKENS.completion_tokens,
    prompt_tokens: reply.promptTokens ?? TOKENS.prompt_tokens,
  }
  response.end(JSON.stringify({ ...head, object: 'chat.completion', choices, usage }))
}
