import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * The upstream of `bench:proxy`, in a separate process: answers a chat at once, or streams a number of tokens
 * at a fixed rate, in OpenAI's shape; `/v1/responses` and `/v1/messages` at once, in theirs. Prints its address as
 * JSON.
 */
const TOKENS = Number(process.argv[2] ?? 30)
const PACE_MS = Number(process.argv[3] ?? 20)

const whole = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: 'bench',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'word '.repeat(120) },
        finish_reason: 'stop',
      },
    ],
    usage: { prompt_tokens: 125, completion_tokens: 120, total_tokens: 245 },
  }),
)
const text = 'word '.repeat(120)
const wholes: Readonly<Record<string, Buffer>> = {
  '/v1/responses': Buffer.from(
    JSON.stringify({
      id: 'resp_bench',
      object: 'response',
      created_at: 1_700_000_000,
      status: 'completed',
      model: 'bench',
      output: [
        {
          id: 'msg_bench',
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text, annotations: [] }],
        },
      ],
      usage: { input_tokens: 125, output_tokens: 120, total_tokens: 245 },
    }),
  ),
  '/v1/messages': Buffer.from(
    JSON.stringify({
      id: 'msg_bench',
      type: 'message',
      role: 'assistant',
      model: 'bench',
      content: [{ type: 'text', text }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: { input_tokens: 125, output_tokens: 120 },
    }),
  ),
}
const chunk = (delta: object, reason: string | null = null): string =>
  `data: ${JSON.stringify({ id: 'chatcmpl-bench', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'bench', choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`
const first = chunk({ role: 'assistant', content: '' }) + chunk({ content: 'word ' })
const token = chunk({ content: 'word ' })
const last = `${chunk({}, 'stop')}data: [DONE]\n\n`

const server = createServer((request, response) => {
  const parts: Buffer[] = []
  request.on('data', (part: Buffer) => parts.push(part))
  request.on('end', () => {
    if (!Buffer.concat(parts).includes('"stream":true')) {
      const answer = wholes[request.url ?? ''] ?? whole
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': answer.length,
      })
      response.end(answer)
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(first)
    let left = TOKENS
    const timer = setInterval(() => {
      if (left-- > 0) response.write(token)
      else {
        clearInterval(timer)
        response.end(last)
      }
    }, PACE_MS)
    response.on('close', () => clearInterval(timer))
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  process.stdout.write(`${JSON.stringify({ url, pid: process.pid })}\n`)
})
