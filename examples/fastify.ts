/**
 * `weir-router/fastify`: routing inside your own fastify application.
 *
 *     node examples/fastify.ts BUNDLE
 */
import fastify from 'fastify'
import { type WeirPluginOptions, weirRouter } from 'weir-router/fastify'

const [bundle = 'bundles/example'] = process.argv.slice(2)

const app = fastify({ logger: false })
app.get('/', () => 'the rest of your application')

const options: WeirPluginOptions = { config: { routers: [{ path: bundle }] } }
await app.register(weirRouter, { ...options, prefix: '/ai' })

// `inject` asks without a port; an application calls `await app.listen({ port: 8080 })`
const response = await app.inject({
  method: 'POST',
  url: '/ai/route',
  payload: { prompt: 'Write a lock-free queue in Rust' },
})
console.log(response.statusCode, response.json().model)
await app.close()
