import { Command } from 'commander'
import { openTerminal, score } from '../terminal.ts'

interface ServeOptions {
  readonly host: string
  readonly port: string
  readonly json?: boolean
}

/** `weir serve <bundle>`: answers `POST /route` until it is told to stop. */
export function serveCommand(): Command {
  return new Command('serve')
    .description('serve a bundle over HTTP: POST /route, GET /health, /ready, /openapi.json')
    .argument('<bundle>', 'bundle folder, such as bundles/demo')
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0 takes a free one', '8080')
    .option('--json', 'print the address as JSON')
    .addHelpText('after', '\nExample:\n  weir serve bundles/demo --port 8080')
    .action(serve)
}

async function serve(path: string, options: ServeOptions): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { interruptSignal } = await import('../interrupt.ts')
  const { loadRouter } = await import('../../models/router.ts')
  const { buildApp } = await import('../../serving/app.ts')
  const { singleRouter } = await import('../../serving/router-source.ts')
  const { drain, listen } = await import('../../serving/server.ts')
  const port = numberOption('--port', options.port, { min: 0, max: 65_535, integer: true })!
  const terminal = openTerminal()
  const stopped = interruptSignal()
  const router = await loadRouter(path)
  const app = buildApp({
    routers: singleRouter(router),
    onBug: (error) => terminal.note(error instanceof Error ? (error.stack ?? '') : String(error)),
  })
  const url = await listen(app, { host: options.host, port })
  const { name, version, threshold, candidates } = router.manifest
  if (options.json) {
    terminal.json({ url, pid: process.pid, router: { name, version } })
  } else {
    const pair = (role: string): string =>
      candidates.find((candidate) => candidate.role === role)?.model ?? ''
    terminal.print(
      `${name} ${version} on ${url}: ${pair('strong')} where the win rate is at least ${score(threshold.value)}, else ${pair('weak')}`,
    )
    terminal.print(
      `Try: curl -s ${url}/route -H 'content-type: application/json' -d '{"prompt": "Prove that sqrt(2) is irrational."}'`,
    )
  }
  if (!stopped.aborted) {
    await new Promise((resolve) => stopped.addEventListener('abort', resolve, { once: true }))
  }
  await drain(app)
  await router.close()
}
