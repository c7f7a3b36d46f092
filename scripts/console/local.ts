import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openOrClose } from '../../core/close-stack.ts'
import { WeirError } from '../../core/errors.ts'
import { type LogReadStats, readDecisionLog } from '../../records/log-reader.ts'
import { bareApp } from '../../serving/server/app.ts'
import { assertHost } from '../../serving/server/browser-guard.ts'
import type { ServeConfig } from '../../serving/server/config.ts'
import { addConsole, CONSOLE_PATH } from '../../serving/server/console/app.ts'
import type { Handlers } from '../../serving/server/console/contract.ts'
import { serverHandlers } from '../../serving/server/console/handlers.ts'
import { Traffic } from '../../serving/server/console/traffic.ts'
import { drain, listen } from '../../serving/server/run-server.ts'
import { openServices } from '../../serving/server/services.ts'
import { Workbench } from './workbench.ts'

export interface LocalConsoleOptions {
  /** bundles, decision logs, and logs to learn from */
  readonly paths: readonly string[]
  /** folder for dropped files, bundles and reports */
  readonly out: string
  /** 0 takes any free port */
  readonly port: number
  readonly onNote: (line: string) => void
}

export interface LocalConsole {
  /** signs in whoever opens it first */
  readonly url: string
  close(): Promise<void>
}

/** Rows of decision logs that are kept in memory. */
const ROWS = 200_000

/**
 * The console over files of this machine, on this machine only.
 *
 * @throws file_not_found, address_in_use, and what loading a bundle throws
 */
export async function openLocalConsole(options: LocalConsoleOptions): Promise<LocalConsole> {
  const { paths, onNote } = options
  return openOrClose(async (parts) => {
    const bundles = paths.filter(isBundle)
    const rest = paths.filter((path) => !isBundle(path))
    const { traffic, others } = await readLogs(rest, onNote)
    const workbench = parts.use(await Workbench.open(options.out, others))
    const config: ServeConfig = { routers: bundles.map((path) => ({ path })) }
    const onBug = (error: unknown): void => onNote(`weir: ${String(error)}`)
    const services =
      bundles.length === 0
        ? undefined
        : parts.use(
            await openServices(config, {
              onBug,
              onWarning: (message, error) =>
                onNote(`weir: ${message}${error instanceof Error ? `: ${error.message}` : ''}`),
            }),
          )
    const { propose_threshold: _, ...shown } = services
      ? serverHandlers(services, config, traffic)
      : withoutRouters(traffic)
    const app = bareApp({ onBug })
    parts.add(() => drain(app, 1000))
    app.addHook('onRequest', (request, _reply, done) => {
      try {
        assertHost(request.headers.host, new Set())
        done()
      } catch (error) {
        done(error as Error)
      }
    })
    const page = addConsole(app, {
      mode: 'local',
      title: paths.length === 0 ? 'this machine' : paths.join(', '),
      handlers: { ...shown, ...workbench.handlers },
      holder: () => undefined,
      now: Date.now,
      report: (id) => workbench.report(id),
    })
    const url = await listen(app, { host: '127.0.0.1', port: options.port })
    const code = page.invite({ name: 'you', role: 'operator' })
    return { url: `${url}${CONSOLE_PATH}/#code=${code}`, close: () => parts.close() }
  })
}

const isBundle = (path: string): boolean =>
  existsSync(join(path, 'manifest.json')) || existsSync(join(path, 'current', 'manifest.json'))

/** The traffic of decision logs, and the paths that are none. @throws file_not_found */
async function readLogs(
  paths: readonly string[],
  onNote: (line: string) => void,
): Promise<{ readonly traffic: Traffic; readonly others: readonly string[] }> {
  let clock: number | undefined
  let traffic: Traffic | undefined
  const others: string[] = []
  for (const path of paths) {
    if (!existsSync(path)) throw new WeirError('file_not_found', { path })
    const stats: LogReadStats = { torn: 0, invalid: 0 }
    let records = 0
    for await (const { record } of readDecisionLog(path, stats)) {
      records++
      if ('time' in record && typeof record.time === 'number')
        clock = Math.max(clock ?? 0, record.time)
      traffic ??= clock === undefined ? undefined : localTraffic(() => clock ?? 0)
      traffic?.logged(record)
      // a log of another layout is not read to its end
      if (records === 0 && stats.invalid > 100) break
    }
    if (records === 0) others.push(path)
    else if (stats.invalid > 0) {
      onNote(
        `weir: ${stats.invalid} lines of ${path} are no records, the first ${stats.firstInvalid}`,
      )
    }
  }
  return { traffic: traffic ?? localTraffic(Date.now), others }
}

const localTraffic = (now: () => number): Traffic => new Traffic({ texts: 'full', now, rows: ROWS })

/** What is shown where no bundle was given. */
function withoutRouters(traffic: Traffic): Handlers {
  return {
    overview: () => ({ ...traffic.counts(), routers: [], models: [], policies: [] }),
    decisions: ({ after = 0, limit = 1000 }) => traffic.rowsAfter(after, limit),
  }
}
