import { type AddressInfo, isIP, type Socket } from 'node:net'
import { basename } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { openOrClose } from '../../core/close-stack.ts'
import { WeirError } from '../../core/errors.ts'
import { keyHash } from '../router/keys.ts'
import { type AdminBackend, type AdminConsole, buildAdminApp, localBackend } from './admin.ts'
import { adminToken } from './admin-token.ts'
import { type BareServices, buildApp } from './app.ts'
import type { ServeConfig } from './config.ts'
import { CONSOLE_PATH } from './console/app.ts'
import type { Handlers } from './console/contract.ts'
import { serverHandlers } from './console/handlers.ts'
import { sameSecret } from './console/sessions.ts'
import { Traffic } from './console/traffic.ts'
import { createReloader, type Reloader } from './reloader.ts'
import { openServices, type ServiceOptions, type Services } from './services.ts'

export interface ListenOptions {
  readonly host: string
  /** 0 takes any free port */
  readonly port: number
}

/** Longest wait for requests in progress when the server is stopped, in milliseconds. */
export const DRAIN_MS = 10_000

/**
 * Starts listening and returns the base URL.
 *
 * @throws address_in_use, address_invalid
 */
export async function listen(app: FastifyInstance, { host, port }: ListenOptions): Promise<string> {
  closeUnasked(app)
  try {
    await app.listen({ host, port })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const address = `${host}:${port}`
    if (code === 'EADDRINUSE') throw new WeirError('address_in_use', { address }, { cause })
    throw new WeirError('address_invalid', { address, reason: code ?? String(cause) }, { cause })
  }
  const bound = app.server.address() as AddressInfo
  return baseUrl(bound.address, bound.port)
}

/** Node counts a connection without a request so far as busy, and closing would wait for it. */
function closeUnasked(app: FastifyInstance): void {
  const unasked = new Set<Socket>()
  app.server.on('connection', (socket) => {
    unasked.add(socket)
    socket.once('close', () => unasked.delete(socket))
  })
  app.server.on('request', ({ socket }) => unasked.delete(socket))
  app.addHook('preClose', (done) => {
    for (const socket of unasked) socket.destroy()
    done()
  })
}

export function baseUrl(address: string, port: number): string {
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`
}

/** Accepts no new requests, lets those in progress finish for `DRAIN_MS`, then closes the rest. */
export async function drain(app: FastifyInstance, limitMs: number = DRAIN_MS): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), limitMs)
  try {
    await app.close()
  } finally {
    clearTimeout(cut)
  }
}

/** The open admin port. */
export interface AdminPort {
  readonly url: string
  /** the file with the token that callers send */
  readonly tokenFile: string
  /** the console's address, which signs in whoever opens it first; undefined without a console */
  readonly consoleUrl: string | undefined
  close(): Promise<void>
}

export interface AdminPortOptions {
  /** 0 takes any free port */
  readonly port: number
  /** the operator's file with the token; see `adminToken` */
  readonly tokenFile?: string | undefined
  /** also serve the console */
  readonly console?: AdminConsole | undefined
}

/**
 * Opens the admin port, on this machine only: its callers can change what is served.
 *
 * @throws address_in_use, config_invalid, file_unwritable
 */
export async function openAdminPort(
  backend: AdminBackend,
  services: BareServices,
  { port, tokenFile, console }: AdminPortOptions,
): Promise<AdminPort> {
  const token = await adminToken(tokenFile)
  let invite: (() => string) | undefined
  const app = buildAdminApp(
    backend,
    services,
    token.token,
    console && { ...console, opened: (its) => (invite = its) },
  )
  try {
    const url = await listen(app, { host: '127.0.0.1', port })
    return {
      url,
      tokenFile: await token.publish(Number(new URL(url).port)),
      consoleUrl: invite && `${url}${CONSOLE_PATH}/#code=${invite()}`,
      async close() {
        await token.remove()
        await drain(app)
      },
    }
  } catch (error) {
    await app.close()
    throw error
  }
}

export interface RunOptions extends ServiceOptions {
  readonly host: string
  readonly port: number
  /** no admin port if absent */
  readonly adminPort?: number
  /** the file with the token of the admin port; by default one in a folder of this user's */
  readonly adminTokenFile?: string
  /** serve the console on the admin port */
  readonly console?: boolean
  /** milliseconds between checks of the bundles; never checks if absent */
  readonly watchMs?: number
  /** allow clients on other machines without keys */
  readonly insecure?: boolean
}

export interface RunningServer {
  readonly url: string
  readonly adminUrl: string | undefined
  /** the file with the token that callers of the admin port send: `Authorization: Bearer TOKEN` */
  readonly adminTokenFile: string | undefined
  /** signs in whoever opens it first, within 15 minutes */
  readonly consoleUrl: string | undefined
  readonly services: Services
  readonly backend: AdminBackend
  readonly reloader: Reloader
  /** Accepts nothing new, finishes requests in progress, writes what is logged. */
  close(): Promise<void>
}

/** One process's server, listening. @throws if configuration, bundles or address are faulty */
export async function runServer(config: ServeConfig, options: RunOptions): Promise<RunningServer> {
  assertReachable(config, options)
  return openOrClose(async (parts) => {
    const { now = Date.now } = options
    const traffic = options.console
      ? new Traffic({ texts: config.log?.text ?? 'none', now })
      : undefined
    const services = parts.use(
      await openServices(config, {
        ...options,
        ...(traffic && {
          observers: [...(options.observers ?? []), traffic.observe],
          servedObservers: [...(options.servedObservers ?? []), traffic.served],
          ratingObservers: [...(options.ratingObservers ?? []), traffic.outcomes.rated],
        }),
      }),
    )
    const apps: FastifyInstance[] = []
    parts.add(() => Promise.all(apps.map((app) => drain(app))))
    const reloader = parts.use(
      createReloader({
        fleet: services.fleet,
        policies: services.policies,
        audit: services.bundleAudit,
        onReload(result, error) {
          services.metrics.reload(result)
          traffic?.outcomes.reloaded(result, error)
        },
        onNote: options.onWarning,
      }),
    )
    const app = buildApp(services, { insecure: options.insecure })
    apps.push(app)
    const url = await listen(app, options)
    const metrics = (): Promise<string> => services.metrics.registry.metrics()
    const backend = localBackend(services.fleet, reloader, metrics, services.budgets?.report)
    let admin: AdminPort | undefined
    parts.add(() => admin?.close())
    if (options.adminPort !== undefined) {
      const { adminPort: port, adminTokenFile: tokenFile } = options
      const console =
        traffic && adminConsole(config, serverHandlers(services, config, traffic), now)
      admin = await openAdminPort(backend, services, { port, tokenFile, console })
    }
    if (options.watchMs !== undefined) reloader.watch(options.watchMs)
    return {
      url,
      adminUrl: admin?.url,
      adminTokenFile: admin?.tokenFile,
      consoleUrl: admin?.consoleUrl,
      services,
      backend,
      reloader,
      close: () => parts.close(),
    }
  })
}

/** The console of a server with this configuration, whose keys say who may use it. */
export function adminConsole(
  config: ServeConfig,
  handlers: Handlers,
  now: () => number,
): AdminConsole {
  const people = (config.keys ?? []).filter((key) => key.console !== undefined)
  return {
    ...{ handlers, now, hosts: config.hosts ?? [] },
    title: config.routers[0] ? basename(config.routers[0].path) : 'Weir',
    holder(key) {
      const digest = keyHash(key)
      const found = people.find(({ sha256 }) => sameSecret(sha256, digest))
      return found && { name: found.name, role: found.console! }
    },
  }
}

/** @throws keys_needed if others could reach the server and it requires no keys */
export function assertReachable(
  config: ServeConfig,
  { host, insecure }: Pick<RunOptions, 'host' | 'insecure'>,
): void {
  const local =
    host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
  if (local || insecure || (config.keys?.length ?? 0) > 0) return
  throw new WeirError('keys_needed', { host })
}
