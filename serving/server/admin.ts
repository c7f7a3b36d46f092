import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { SPEND_GROUPS, type SpendReport, SpendTable } from '../budgets/spend.ts'

import type { Fleet, ReloadReport } from '../router/fleet.ts'
import { type BareServices, bareApp } from './app.ts'
import type { Reloader } from './reloader.ts'

const Rollback = Type.Object(
  { router: Type.String(), version: Type.Optional(Type.String()) },
  { additionalProperties: false },
)

const SpendQuery = Type.Object(
  { by: Type.Optional(Type.Union(SPEND_GROUPS.map((group) => Type.Literal(group)))) },
  { additionalProperties: false },
)

/** The admin port: reload, rollback, versions and spend, with health and metrics. */
export function buildAdminApp(backend: AdminBackend, services: BareServices): FastifyInstance {
  const app = bareApp(services)
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
  return app
}

/** A router as shown to operators. */
export interface RouterStatus {
  readonly name: string
  readonly version: string
  readonly path: string
  readonly threshold: number
  readonly strong: string
  readonly weak: string
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
        [...(fleet.snapshot?.routers ?? [])].map(async ([name, { router, strong }]) => {
          const { version, threshold, candidates } = router.manifest
          return {
            name,
            version,
            path: router.path,
            threshold: threshold.value,
            strong,
            weak: candidates.find(({ role }) => role === 'weak')!.model,
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
