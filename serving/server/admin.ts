import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { describeRule } from '../../models/bundle/choice-rule.ts'
import { SPEND_GROUPS, type SpendReport, SpendTable } from '../budgets/spend.ts'

import type { Fleet, ReloadReport } from '../router/fleet.ts'
import { RateLimit } from '../state/rate-limit.ts'
import { type BareServices, bareApp, WRONG_KEYS_PER_MINUTE } from './app.ts'
import { assertHost, browserGuard } from './browser-guard.ts'
import { addConsole, CONSOLE_PATH, type ConsoleOptions } from './console/app.ts'
import type { ConsoleCaller } from './console/contract.ts'
import type { Reloader } from './reloader.ts'

const Rollback = Type.Object(
  { router: Type.String(), version: Type.Optional(Type.String()) },
  { additionalProperties: false },
)

const SpendQuery = Type.Object(
  { by: Type.Optional(Type.Union(SPEND_GROUPS.map((group) => Type.Literal(group)))) },
  { additionalProperties: false },
)

/** Paths that need no token: probes call them, and they say nothing of this server's traffic. */
const OPEN_PATHS = new Set(['/health', '/ready', '/openapi.json'])

/**
 * The admin port: reload, rollback, versions and spend, with health and metrics. It answers programs on this
 * machine that send the token; no web page, and no name of another machine. With a console it also serves the console's pages,
 * whose visitors sign in.
 *
 * @throws file_not_found if the console's pages were not built
 */
export function buildAdminApp(
  backend: AdminBackend,
  services: BareServices,
  token: string,
  console?: AdminConsole,
): FastifyInstance {
  const app = bareApp(services)
  const guard = browserGuard({ open: true })
  const expected = digestOf(token)
  const wrongTokens = new RateLimit()
  const hosts = new Set(console?.hosts.map((host) => host.toLowerCase()))
  app.addHook('onRequest', (request, reply, done) => {
    try {
      if (console && request.routeOptions.url?.startsWith(`${CONSOLE_PATH}/`)) {
        assertHost(request.headers.host, hosts)
        done()
        return
      }
      guard(request, reply)
      if (!OPEN_PATHS.has(request.routeOptions.url ?? '')) {
        const given = /^Bearer +(\S{1,500}) *$/i.exec(request.headers.authorization ?? '')?.[1]
        if (given === undefined || !timingSafeEqual(digestOf(given), expected)) {
          wrongTokens.take(request.ip, WRONG_KEYS_PER_MINUTE)
          throw new WeirError('admin_token_needed')
        }
      }
      done()
    } catch (error) {
      done(error as Error)
    }
  })
  app.get('/health', () => ({ status: 'ok' }))
  app.get('/ready', () => {
    if (!backend.ready()) throw new WeirError('server_not_ready')
    return { status: 'ready' }
  })
  app.get('/metrics', async (_, reply) =>
    reply
      .header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
      .send(await backend.metrics()),
  )
  app.get('/admin/routers', async () => ({ object: 'list', data: await backend.routers() }))
  app.get<{ Querystring: Type.Static<typeof SpendQuery> }>(
    '/admin/spend',
    { schema: { querystring: SpendQuery } },
    async ({ query }) => {
      const { since, cells, budgets } = await backend.spend()
      const table = new SpendTable()
      table.merge(cells)
      return { object: 'list', since, data: table.by(query.by ?? 'key'), budgets }
    },
  )
  app.post('/admin/reload', () => backend.reload())
  app.post<{ Body: Type.Static<typeof Rollback> }>(
    '/admin/rollback',
    { schema: { body: Rollback } },
    ({ body }) => backend.rollback(body.router, body.version),
  )
  if (console) {
    const { holder, opened, ...options } = console
    const page = addConsole(app, {
      ...options,
      mode: 'server',
      holder: (key) => (timingSafeEqual(digestOf(key), expected) ? ADMIN : holder(key)),
    })
    opened?.(() => page.invite(ADMIN))
  }
  return app
}

/** The console of a server, on its admin port. */
export interface AdminConsole extends Omit<ConsoleOptions, 'mode'> {
  /** is given a function that makes codes for addresses which sign the operator in, once each */
  readonly opened?: ((invite: () => string) => void) | undefined
  /** further names of the server, `name` or `name:port`, such as those of a proxy with a certificate */
  readonly hosts: readonly string[]
}

/** Whoever has the admin token can already reload and roll back; who approves needs a name of their own. */
const ADMIN: ConsoleCaller = { name: 'admin', role: 'operator' }

const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest()

/** A router as shown to operators. */
export interface RouterStatus {
  readonly name: string
  readonly version: string
  readonly path: string
  /** the public key that signed it; absent if it is not signed */
  readonly signed_by?: string | undefined
  readonly threshold: number
  readonly strong: string
  readonly weak: string
  /** how it chooses among all its models, in words, where that is no threshold between two */
  readonly rule?: { readonly models: readonly string[]; readonly words: string } | undefined
  /** on disk, oldest first */
  readonly versions: readonly string[]
}

/** The admin port's operations: on this process's routers, or on those of all workers. */
export interface AdminBackend {
  ready(): boolean
  routers(): Promise<readonly RouterStatus[]>
  reload(): Promise<ReloadReport>
  rollback(router: string, version?: string): Promise<ReloadReport>
  /** since the server started */
  spend(): Promise<SpendReport>
  /** Prometheus text */
  metrics(): Promise<string>
}

export function localBackend(
  fleet: Fleet,
  reloader: Reloader,
  metrics: () => Promise<string>,
  spend: () => Promise<SpendReport> = async () => NO_SPEND,
): AdminBackend {
  return {
    ready: () => fleet.snapshot !== undefined,
    routers: () =>
      Promise.all(
        [...(fleet.snapshot?.routers ?? [])].map(async ([name, { router, strong, weak }]) => {
          const { version, threshold, candidates, choice } = router.manifest
          return {
            name,
            version,
            path: router.path,
            signed_by: router.signedBy,
            threshold: threshold.value,
            strong,
            weak,
            ...(choice && {
              rule: {
                models: candidates.map(({ model }) => model),
                words: describeRule(choice.rule),
              },
            }),
            versions: await fleet.versions(name),
          }
        }),
      ),
    reload: () => reloader.reload(),
    rollback: (router, version) => reloader.rollback(router, version),
    metrics,
    spend,
  }
}

/** For a server without a gateway. */
const NO_SPEND: SpendReport = { since: new Date(0).toISOString(), cells: [], budgets: [] }
