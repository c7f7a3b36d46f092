import fastify from 'fastify'
import { Pool } from 'undici'

/**
 * The smallest possible proxy on this platform: fastify in front of undici's pool, nothing else. `bare.ts
 * <upstream>`.
 */
const pool = new Pool(process.argv[2]!, { connections: 1024 })
const app = fastify()
app.removeAllContentTypeParsers()
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_, body, done) =>
  done(null, body),
)
app.post('/v1/chat/completions', async (request, reply) => {
  const { statusCode, headers, body } = await pool.request({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json' },
    body: request.body as Buffer,
  })
  reply.code(statusCode).header('content-type', headers['content-type'])
  const stream = String(headers['content-type']).startsWith('text/event-stream')
  return stream ? body : Buffer.from(await body.arrayBuffer())
})
const url = await app.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`${JSON.stringify({ url, pid: process.pid })}\n`)
