import { definedOnly } from '../../../core/defined.ts'
import { openTerminal, score } from '../../terminal/terminal.ts'
import { defineCommand } from '../command.ts'
import { readServeConfig, SERVE_OPTIONS, type ServeFlags } from '../serve-config.ts'

/** `weir serve <bundles...>`: answers `POST /route` until it is stopped. */
export const serveCommand = defineCommand({
  name: 'serve',
  description: 'serve bundles over HTTP: POST /route, /route/batch, /feedback, GET /docs',
  arguments: [
    ['[bundles...]', 'bundle folders, such as bundles/demo, or oci://, s3://, https:// addresses'],
  ],
  options: SERVE_OPTIONS,
  examples: [
    'weir serve bundles/demo --port 8080',
    'weir serve --config weir.json --policy policy.yaml --watch',
    'weir serve bundles/a bundles/b --split default=a:90,b:10 --log logs --watch',
  ],
  async run(bundles, flags) {
    const { default: cluster } = await import('node:cluster')
    if (!cluster.isWorker) return serve(bundles, flags)
    try {
      await serve(bundles, flags)
    } catch (error) {
      // the primary reports the reason, once for all workers
      await (await import('../../../serving/server/worker-group.ts')).endWorker(error)
    }
  },
})

async function serve(bundles: readonly string[], flags: ServeFlags): Promise<void> {
  const { config, source } = await readServeConfig(bundles, flags)
  const terminal = openTerminal()
  if (flags.printConfig) {
    const { yamlText } = await import('../../../core/yaml-source.ts')
    terminal.print(yamlText(config))
    return
  }
  const { serveProcess } = await import('../serve-process.ts')
  const { withLine } = await import('../config-file.ts')
  const {
    host,
    port,
    console = false,
    // beside the port, so that its address stays the same
    adminPort = console ? (port === 0 ? 0 : port + 1) : undefined,
    adminTokenFile,
    workers = 1,
    watch = false,
    insecure = false,
    lines,
  } = flags
  await serveProcess(config, {
    host,
    port,
    ...definedOnly({ adminPort, adminTokenFile }),
    console,
    workers,
    watch,
    insecure,
    lines,
    spans: flags.spans ?? false,
    onNote: terminal.note,
    onListening({ url, adminUrl, adminTokenFile, consoleUrl, routers }) {
      if (flags.json) {
        const admin = definedOnly({
          admin: adminUrl,
          admin_token_file: adminTokenFile,
          console: consoleUrl,
        })
        terminal.json({ url, ...admin, pid: process.pid, routers })
        return
      }
      for (const { name, version, threshold, strong, weak, rule } of routers) {
        terminal.print(
          rule
            ? `${name} ${version} on ${url}: of ${rule.models.join(', ')} ${rule.words}`
            : `${name} ${version} on ${url}: ${strong} where the win rate is at least ${score(threshold)}, else ${weak}`,
        )
      }
      if (routers.length === 0) {
        terminal.print(`${url}: no trained router yet; chats go by model, rules and shares`)
      }
      if (consoleUrl) {
        terminal.print(
          `Console: ${consoleUrl} (signs you in once, within 15 minutes; later with a key that has a console role, or the token in '${adminTokenFile}')`,
        )
      }
      if (adminUrl) {
        terminal.print(
          `Admin: curl -s -X POST ${adminUrl}/admin/reload -H "authorization: Bearer $(cat '${adminTokenFile}')"`,
        )
      }
      if (routers.length === 0) {
        const [model] = Object.keys(config.gateway?.models ?? {})
        const named = config.gateway?.policy === undefined ? model : 'weir'
        terminal.print(
          `Try: curl -s ${url}/v1/chat/completions -H 'content-type: application/json' -d '{"model": "${named}", "messages": [{"role": "user", "content": "Hello"}]}'`,
        )
        return
      }
      terminal.print(
        `Try: curl -s ${url}/route -H 'content-type: application/json' -d '{"prompt": "Prove that sqrt(2) is irrational."}'`,
      )
    },
  }).catch((error: unknown) => {
    throw withLine(error, source)
  })
}
