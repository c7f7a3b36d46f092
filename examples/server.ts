/**
 * `weir-router/server` and `weir-router/client`: a server started from code, and a typed call to it.
 *
 *     node examples/server.ts BUNDLE
 */
import { WeirClient } from 'weir-router/client'
import { runServer } from 'weir-router/server'

const [bundle = 'bundles/example'] = process.argv.slice(2)

const server = await runServer(
  { routers: [{ path: bundle }] },
  {
    host: '127.0.0.1',
    // any free port
    port: 0,
    onBug: (error, request) => console.error('failed', request.path, error),
    onWarning: (message, error) => console.error(message, error ?? ''),
  },
)
try {
  const client = new WeirClient({ baseUrl: server.url, timeoutMs: 2000 })
  const decision = await client.route('Prove that the square root of two is irrational')
  console.log(`${server.url} chose ${decision.model}`)
} finally {
  // takes nothing new, answers what is under way
  await server.close()
}
