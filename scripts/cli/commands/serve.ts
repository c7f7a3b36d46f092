import { Command } from 'commander'
import { openTerminal, score } from '../../terminal/terminal.ts'
import type { ServeFlags } from '../serve-config.ts'

interface ServeOptions extends ServeFlags {
  readonly host: string
  readonly port: string
  readonly adminPort?: string
  readonly workers?: string
  readonly watch?: boolean
  readonly insecure?: boolean
  readonly lines?: string | true
  readonly spans?: boolean
  readonly json?: boolean
}

const often = (value: string, before: readonly string[] = []): string[] => [...before, value]

/** `weir serve <bundles...>`: answers `POST /route` until it is told to stop. */
export function serveCommand(): Command {
  return new Command('serve')
    .description('serve bundles over HTTP: POST /route, /route/batch, /feedback, GET /docs')
    .argument('[bundles...]', 'bundle folders, such as bundles/demo')
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0 takes a free one', '8080')
    .option('--admin-port <port>', 'port for reload and rollback, on this machine only')
    .option('--workers <n>', 'processes that share the port; one that dies is replaced')
    .option('--config <file>', 'YAML or JSON: routers, splits, shadows, keys, limits, log')
    .option('--default <router>', 'what a request without a router means; else the first bundle')
    .option('--alias <name=router>', 'another name for a router', often)
    .option('--split <name=a:90,b:10>', 'a name shared between routers, sticky by session', often)
    .option('--shadow <name=router>', 'decide with another router too, logged only', often)
    .option('--watch', 'reload when a bundle’s current version or a policy file changes')
    .option('--policy <file>', 'YAML or JSON: what the gateway does with chats (docs/policies.md)')
    .option('--log <folder>', 'write every decision and all feedback there')
    .option('--log-text <what>', 'keep prompts in the log: none, redacted or full (default none)')
    .option('--log-embedding', 'keep embeddings in the log')
    .option('--log-metadata', 'keep metadata and tags of the gateway’s requests in the log')
    .option('--explore <p>', 'try the other model with this probability, for weir ope (default 0)')
    .option(
      '--store <where>',
      'keep feedback there: postgres://... for several replicas, or a folder',
    )
    .option('--lines [file]', 'a JSON line a decision, on standard error or in a file')
    .option('--spans', 'an OpenTelemetry span a decision, to the SDK that is registered')
    .option('--deadline <ms>', 'fall back when a decision takes longer (default 50; 0 never)')
    .option('--cache <n>', 'scores kept a router (default 4096; 0 none)')
    .option('--rate <n>', 'requests a minute of each key or address')
    .option('--insecure', 'listen beyond this machine without keys')
    .option('--json', 'print the address as JSON')
    .addHelpText(
      'after',
      `
Examples:
  weir serve bundles/demo --port 8080
  weir serve --config weir.json --policy policy.yaml --watch
  weir serve bundles/a bundles/b --split default=a:90,b:10 --log logs --watch`,
    )
    .action(serve)
}

async function serve(bundles: readonly string[], options: ServeOptions): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { serveConfig } = await import('../serve-config.ts')
  const port = numberOption('--port', options.port, { min: 0, max: 65_535, integer: true })!
  const adminPort = numberOption('--admin-port', options.adminPort, {
    min: 0,
    max: 65_535,
    integer: true,
  })
  const workers = numberOption('--workers', options.workers, { min: 1, max: 256, integer: true })
  const config = await serveConfig(bundles, options)
  const { serveProcess } = await import('../serve-process.ts')
  const terminal = openTerminal()
  await serveProcess(config, {
    host: options.host,
    port,
    ...(adminPort === undefined ? {} : { adminPort }),
    workers: workers ?? 1,
    watch: options.watch ?? false,
    insecure: options.insecure ?? false,
    lines: options.lines,
    spans: options.spans ?? false,
    onNote: terminal.note,
    onListening({ url, adminUrl, routers }) {
      if (options.json) {
        terminal.json({ url, ...(adminUrl ? { admin: adminUrl } : {}), pid: process.pid, routers })
        return
      }
      for (const { name, version, threshold, strong, weak } of routers) {
        terminal.print(
          `${name} ${version} on ${url}: ${strong} where the win rate is at least ${score(threshold)}, else ${weak}`,
        )
      }
      if (adminUrl) terminal.print(`Admin: curl -s -X POST ${adminUrl}/admin/reload`)
      terminal.print(
        `Try: curl -s ${url}/route -H 'content-type: application/json' -d '{"prompt": "Prove that sqrt(2) is irrational."}'`,
      )
    },
  })
}
