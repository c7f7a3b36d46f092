import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { WeirError } from '../models/errors.ts'
import type { AdminBackend } from './admin-backend.ts'
import { bareApp } from './app.ts'
import { SPEND_GROUPS, SpendTable } from './money/spend-table.ts'
import type { Services } from './services.ts'

const Rollback = Type.Object(
  { router: Type.String(), version: Type.Optional(Type.String()) },
  { additionalProperties: false },
)

const SpendQuery = Type.Object(
  { by: Type.Optional(Type.Union(SPEND_GROUPS.map((group) => Type.Literal(group)))) },
  { additionalProperties: false },
)

/** What operators call, on a port of its own: reload, rollback, versions; health and metrics beside it. */
export function buildAdminApp(
  backend: AdminBackend,
  services: Pick<Services, 'metrics' | 'onBug'>,
): FastifyInstance {
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
