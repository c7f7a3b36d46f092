import type { Manifest } from '../models/bundle/manifest.ts'
import type { ServeConfig } from '../serving/config.ts'
import type { DecisionObserver } from '../serving/decision/observer.ts'
import { runServer } from '../serving/run-server.ts'
import { interruptSignal } from './interrupt.ts'

export interface ServeProcessOptions {
  readonly host: string
  readonly port: number
  readonly adminPort?: number
  readonly workers: number
  readonly watch: boolean
  readonly insecure: boolean
  /** a file, or standard error where true; no lines where absent */
  readonly lines: string | true | undefined
  readonly spans: boolean
  readonly onNote: (line: string) => void
  readonly onListening: (status: ListeningStatus) => void
}

export interface ListeningStatus {
  readonly url: string
  readonly adminUrl: string | undefined
  readonly routers: readonly RouterLine[]
}

export interface RouterLine {
  readonly name: string
  readonly version: string
  readonly threshold: number
  readonly strong: string
  readonly weak: string
}

const WATCH_MS = 2000

/** Serves until SIGINT or SIGTERM, then drains. SIGHUP reloads. */
export async function serveProcess(
  config: ServeConfig,
  options: ServeProcessOptions,
): Promise<void> {
  const stopped = interruptSignal()
  const observers: DecisionObserver[] = []
  const lines = options.lines
    ? await (await import('../serving/decision-lines.ts')).openDecisionLines(
        options.lines === true ? undefined : options.lines,
      )
    : undefined
  if (lines) observers.push(lines.observe)
  if (options.spans) {
    observers.push(await (await import('../serving/decision-spans.ts')).openDecisionSpans())
  }
  const note = (message: string, error?: unknown): void => {
    const detail = error instanceof Error ? `: ${error.message}` : ''
    options.onNote(`weir: ${message}${detail}`)
    lines?.warn(message, error)
  }
  const server = await runServer(config, {
    ...options,
    ...(options.watch ? { watchMs: WATCH_MS } : {}),
    observers,
    onWarning: note,
    onBug: (error, request) => {
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
      options.onNote(`weir: ${request.method} ${request.path} failed: ${stack}`)
    },
  })
  const hangUp = (): void => server.reloader.trigger('SIGHUP')
  process.on('SIGHUP', hangUp)
  options.onListening({
    url: server.url,
    adminUrl: server.adminUrl,
    routers: [...(server.services.fleet.snapshot?.routers.values() ?? [])].map(({ router }) =>
      routerLine(router.manifest),
    ),
  })
  if (!stopped.aborted) {
    await new Promise((resolve) => stopped.addEventListener('abort', resolve, { once: true }))
  }
  process.off('SIGHUP', hangUp)
  await server.close()
  await lines?.close()
}

function routerLine({ name, version, threshold, candidates }: Manifest): RouterLine {
  const model = (role: string): string =>
    candidates.find((candidate) => candidate.role === role)?.model ?? ''
  return { name, version, threshold: threshold.value, strong: model('strong'), weak: model('weak') }
}
