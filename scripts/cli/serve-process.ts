import cluster from 'node:cluster'
import { hostname, userInfo } from 'node:os'
import { WeirError } from '../../core/errors.ts'
import { cacheFolder } from '../../models/encoders/cache.ts'
import type { DecisionObserver } from '../../serving/router/observer.ts'
import type { RouterStatus } from '../../serving/server/admin.ts'
import type { ServeConfig } from '../../serving/server/config.ts'
import { metricsAdder } from '../../serving/server/metrics.ts'
import { openPrimaryState } from '../../serving/server/primary.ts'
import {
  type AdminPort,
  assertReachable,
  openAdminPort,
  runServer,
} from '../../serving/server/run-server.ts'
import {
  answerPrimary,
  primaryChannel,
  startWorkerGroup,
} from '../../serving/server/worker-group.ts'
import { interruptSignal } from '../terminal/interrupt.ts'

export interface ServeProcessOptions {
  readonly host: string
  readonly port: number
  readonly adminPort?: number
  readonly adminTokenFile?: string
  /** serve the console on the admin port */
  readonly console: boolean
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
  readonly adminTokenFile: string | undefined
  /** signs in whoever opens it first, within 15 minutes */
  readonly consoleUrl: string | undefined
  readonly routers: readonly RouterStatus[]
}

const WATCH_MS = 2000

/** Serves until SIGINT or SIGTERM, then drains. SIGHUP reloads. */
export async function serveProcess(
  config: ServeConfig,
  options: ServeProcessOptions,
): Promise<void> {
  if (options.workers > 1 && cluster.isPrimary) await servePrimary(config, options)
  else await serveHere(config, options)
}

async function serveHere(config: ServeConfig, options: ServeProcessOptions): Promise<void> {
  const stopped = interruptSignal()
  const observers: DecisionObserver[] = []
  const lines = options.lines
    ? await (await import('../../serving/server/decision-observers.ts')).openDecisionLines(
        options.lines === true ? undefined : options.lines,
      )
    : undefined
  if (lines) observers.push(lines.observe)
  const tracing = options.spans
    ? await (await import('../../serving/telemetry/tracing.ts')).openTracing()
    : undefined
  const note = (message: string, error?: unknown): void => {
    const detail = error instanceof Error ? `: ${error.message}` : ''
    options.onNote(`weir: ${message}${detail}`)
    lines?.warn(message, error)
  }
  const { adminPort, ...rest } = options
  const starting = runServer(config, {
    ...rest,
    // with workers it is the primary's
    ...(adminPort === undefined || cluster.isWorker ? {} : { adminPort }),
    ...(options.watch ? { watchMs: WATCH_MS } : {}),
    ...(cluster.isWorker ? { primary: primaryChannel() } : {}),
    observers,
    ...(tracing && { tracing }),
    makeEncoder: async (name) => {
      const { makeNamedEncoder } = await import('../../models/encoders/registry.ts')
      return (await makeNamedEncoder(name, { cacheFolder: cacheFolder(process.env) })).encoder
    },
    // workers are one server, which their primary is
    who: { ...whoRuns(), process: cluster.isWorker ? process.ppid : process.pid },
    onWarning: note,
    onBug: (error, request) => {
      const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
      options.onNote(`weir: ${request.method} ${request.path} failed: ${stack}`)
    },
  })
  const server = await Promise.race([starting, aborted(stopped)])
  // what is half open would keep the process alive; like a kill, leaving it loses nothing
  if (!server) process.exit(0)
  const hangUp = (): void => server.reloader.trigger('SIGHUP')
  process.on('SIGHUP', hangUp)
  if (cluster.isWorker) {
    const { metrics } = server.services
    answerPrimary(server.backend, async () => metrics.registry.getMetricsAsJSON())
  } else {
    const routers = await server.backend.routers()
    const { url, adminUrl, adminTokenFile, consoleUrl } = server
    options.onListening({ url, adminUrl, adminTokenFile, consoleUrl, routers })
  }
  await aborted(stopped)
  process.off('SIGHUP', hangUp)
  await server.close()
  await lines?.close()
  // the channel to the primary would keep a worker alive
  if (cluster.isWorker) process.disconnect()
}

/** Starts the workers and passes on what concerns them all; serves nothing itself but the admin port. */
async function servePrimary(config: ServeConfig, options: ServeProcessOptions): Promise<void> {
  assertReachable(config, options)
  if (options.console) {
    const got = `--workers ${options.workers}`
    throw new WeirError('config_invalid', { where: '--console', expected: 'one process', got })
  }
  if (config.online) {
    const got = `--workers ${options.workers}`
    throw new WeirError('config_invalid', { where: 'online', expected: 'one process', got })
  }
  const stopped = interruptSignal()
  const note = (message: string, error?: unknown): void =>
    options.onNote(`weir: ${message}${error instanceof Error ? `: ${error.message}` : ''}`)
  const added = await metricsAdder()
  const state = await openPrimaryState(config, {
    workers: options.workers,
    now: Date.now,
    onWarning: note,
  })
  const group = startWorkerGroup({
    count: options.workers,
    onNote: note,
    metrics: async (reports) => (await added(reports)) + (await state.metrics()),
    state,
  })
  const { backend } = group
  let admin: AdminPort | undefined
  try {
    const url = await Promise.race([group.started, aborted(stopped)])
    if (url === undefined) return
    if (options.adminPort !== undefined) {
      const onBug = (error: unknown): void => note('admin failed', error)
      const { adminPort: port, adminTokenFile: tokenFile } = options
      admin = await openAdminPort(backend, { onBug }, { port, tokenFile })
    }
    process.on('SIGHUP', () => {
      backend.reload().then(
        () => note('all workers reloaded'),
        (error: unknown) => note('reload refused, what was loaded serves on', error),
      )
    })
    options.onListening({
      url,
      adminUrl: admin?.url,
      adminTokenFile: admin?.tokenFile,
      consoleUrl: admin?.consoleUrl,
      routers: await backend.routers(),
    })
    for (const line of countedApart(config, options.workers)) note(line)
    await Promise.race([aborted(stopped), group.failed])
  } finally {
    await group.stop()
    await admin?.close()
    await state.close()
  }
}

/** What each worker counts by itself, so that it is not mistaken for the total. */
function countedApart(config: ServeConfig, workers: number): string[] {
  const most = config.exploration?.max_strong_per_1000
  return [
    ...(config.alarms
      ? [
          `alarms: each of ${workers} workers watches its own share of the traffic; one takes up to ${workers} times as many requests to go off`,
        ]
      : []),
    ...(most === undefined
      ? []
      : [
          `exploration: each of ${workers} workers adds at most ${most} strong calls to a thousand of its own requests, and may save up for 100 of them`,
        ]),
  ]
}

async function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}

/** The user of this process and its machine, as the operating system says; a user without a name by its number. */
export function whoRuns(): { readonly user: string; readonly host: string } {
  const host = hostname()
  try {
    return { user: userInfo().username, host }
  } catch {
    // a container's user may have no entry in its list of users
    return { user: `uid ${process.getuid?.() ?? 'unknown'}`, host }
  }
}
