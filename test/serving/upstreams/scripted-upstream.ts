import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** How the upstream behaves toward one request. */
export type Behaviour =
  /** as it should, streaming or not as asked */
  | 'answer'
  /** closes the connection before it answers */
  | 'reset'
  /** never answers */
  | 'hang'
  /** answers half a second late */
  | 'slow'
  /** answers and closes the connection, without having said so */
  | 'answer_and_close'
  /** headers of a stream and then nothing */
  | 'hang_stream'
  | 'rate_limit'
  | 'error_500'
  | 'bad_request'
  | 'unauthorized'
  | 'redirect'
  /** cut before the first token */
  | 'cut_early'
  /** cut after two tokens */
  | 'cut_late'
  /** silent after two tokens */
  | 'stall_late'
  /** an error event after two tokens */
  | 'error_late'
  | 'malformed_sse'
  /** events whose data is broken after two tokens */
  | 'malformed_late'
  | 'wrong_json'
  | 'no_choices'
  | 'html'

export interface ReceivedRequest {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: Record<string, unknown>
  /** `body` as it came */
  readonly text: string
}

export interface ScriptedUpstream {
  /** with `/v1` */
  readonly url: string
  readonly received: ReceivedRequest[]
  /** what the next requests meet; past its end `otherwise` */
  readonly script: Behaviour[]
  otherwise: Behaviour
  /** how many were ever opened */
  readonly connections: number
  /** sockets open now */
  readonly sockets: ReadonlySet<Socket>
  /** resolves when an open answer has been cut by the client */
  cutByClient(): Promise<void>
  close(): Promise<void>
}

export const ANSWER_TOKENS = ['Hel', 'lo ', 'wor', 'ld']
export const USAGE = { prompt_tokens: 1000, completion_tokens: 500, total_tokens: 1500 }

/** An OpenAI-compatible server on a port of its own that does what its script says. */
export async function scriptedUpstream(name = 'upstream'): Promise<ScriptedUpstream> {
  const received: ReceivedRequest[] = []
  const script: Behaviour[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  const waiting: (() => void)[] = []
  const server: Server = createServer(async (request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) for (const resolve of waiting.splice(0)) resolve()
    })
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const text = Buffer.concat(parts).toString('utf8')
    const body = JSON.parse(text) as Record<string, unknown>
    received.push({ path: request.url!, headers: request.headers, body, text })
    behave(script.shift() ?? upstream.otherwise, name, request, response, body)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    connections++
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const upstream: ScriptedUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    received,
    script,
    otherwise: 'answer',
    get connections() {
      return connections
    },
    sockets,
    cutByClient: () => new Promise((resolve) => waiting.push(resolve)),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return upstream
}

function behave(
  behaviour: Behaviour,
  name: string,
  request: IncomingMessage,
  response: ServerResponse,
  body: Record<string, unknown>,
): void {
  const json = (status: number, value: unknown, headers: Record<string, string> = {}): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof value === 'string' ? value : JSON.stringify(value))
  }
  const failed = (message: string): unknown => ({ error: { message, type: 'x', code: 'x' } })
  switch (behaviour) {
    case 'answer':
      if (request.url === '/v1/embeddings') {
        json(200, {
          object: 'list',
          data: [{ object: 'embedding', index: 0, embedding: [0.5] }],
          model: body.model,
          usage: { prompt_tokens: 3, total_tokens: 3 },
        })
      } else if (request.url === '/v1/responses') {
        json(200, { id: 'resp_1', object: 'response', output: [], model: body.model })
      } else if (body.stream) stream(response, name, body, ANSWER_TOKENS, 'whole')
      else json(200, completion(name, body))
      return
    case 'reset':
      request.socket.destroy()
      return
    case 'hang':
      return
    case 'slow':
      setTimeout(() => behave('answer', name, request, response, body), SLOW_MS)
      return
    case 'answer_and_close':
      response.on('finish', () => request.socket.end())
      behave('answer', name, request, response, body)
      return
    case 'rate_limit':
      json(429, failed('slow down'), { 'retry-after': '30' })
      return
    case 'error_500':
      json(500, failed('oh no'))
      return
    case 'bad_request':
      json(400, failed('max_tokens is too large'))
      return
    case 'unauthorized':
      json(401, failed('Incorrect API key sk-secret'))
      return
    case 'redirect':
      json(302, '', { location: 'http://169.254.169.254/' })
      return
    case 'wrong_json':
      json(200, '{"choices": [')
      return
    case 'no_choices':
      json(200, { hello: 'there' })
      return
    case 'html':
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>It works!</h1>')
      return
    case 'hang_stream':
      stream(response, name, body, [], 'stall')
      return
    case 'cut_early':
      stream(response, name, body, [], 'cut')
      return
    case 'cut_late':
      stream(response, name, body, ANSWER_TOKENS.slice(0, 2), 'cut')
      return
    case 'stall_late':
      stream(response, name, body, ANSWER_TOKENS.slice(0, 2), 'stall')
      return
    case 'error_late':
      stream(response, name, body, ANSWER_TOKENS.slice(0, 2), 'error')
      return
    case 'malformed_late':
      stream(response, name, body, ANSWER_TOKENS.slice(0, 2), 'malformed')
      return
    case 'malformed_sse':
      stream(response, name, body, [], 'malformed')
  }
}

function completion(name: string, body: Record<string, unknown>): unknown {
  const content = `${ANSWER_TOKENS.join('')} from ${name}`
  const tools = body.tools as { function: { name: string } }[] | undefined
  const message = tools
    ? {
        role: 'assistant',
        content: null,
        tool_calls: [
          {
            id: 'call_1',
            type: 'function',
            function: { name: tools[0]!.function.name, arguments: '{"city":"Oslo"}' },
          },
        ],
      }
    : { role: 'assistant', content }
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: body.model,
    choices: [{ index: 0, message, finish_reason: tools ? 'tool_calls' : 'stop' }],
    usage: USAGE,
    x_unknown: { kept: true },
  }
}

const SLOW_MS = 500

/** So that what ends a stream comes in a packet of its own. */
const PACKET_MS = 20

function stream(
  response: ServerResponse,
  name: string,
  body: Record<string, unknown>,
  tokens: readonly string[],
  end: 'whole' | 'cut' | 'stall' | 'error' | 'malformed',
): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const chunk = (delta: object, reason: string | null = null): string =>
    `data: ${JSON.stringify({ id: name, object: 'chat.completion.chunk', created: 1, model: body.model, choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`
  response.write(chunk({ role: 'assistant', content: '' }))
  for (const content of tokens) response.write(chunk({ content }))
  switch (end) {
    case 'cut':
      // what was written goes out first
      setTimeout(() => response.destroy(), PACKET_MS)
      return
    case 'stall':
      return
    case 'error':
      setTimeout(
        () => response.end(`data: ${JSON.stringify({ error: { message: 'overloaded' } })}\n\n`),
        PACKET_MS,
      )
      return
    case 'malformed':
      setTimeout(() => response.end('data: {"choices": [{"del\n\n'), PACKET_MS)
      return
    case 'whole': {
      response.write(chunk({}, 'stop'))
      const counts = (body.stream_options as { include_usage?: boolean } | undefined)?.include_usage
      if (counts) {
        response.write(
          `data: ${JSON.stringify({ id: name, object: 'chat.completion.chunk', created: 1, model: body.model, choices: [], usage: USAGE })}\n\n`,
        )
      }
      response.end('data: [DONE]\n\n')
    }
  }
}
