import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import type { KeyHolder } from '../../router/keys.ts'
import type { Services } from '../services.ts'

/** `GET /health`: the process runs. `GET /ready`: it can route; 503 while loading and while encoders fail. */
export function addHealthRoutes(app: FastifyInstance, services: Services): void {
  app.get('/health', () => ({ status: 'ok' }))
  app.get('/ready', () => {
    if (!services.fleet.snapshot) throw new WeirError('server_not_ready')
    const down = services.encoders.down()
    if (down.length > 0) throw new WeirError('encoder_down', { routers: down })
    return { status: 'ready' }
  })
}

/** `GET /metrics`, for Prometheus. */
export function addMetricsRoute(app: FastifyInstance, services: Services): void {
  const { metrics } = services
  app.get('/metrics', async (_, reply) => {
    const text = await metrics.registry.metrics()
    return reply.header('content-type', metrics.registry.contentType).send(text)
  })
}

const Model = Type.Object({
  id: Type.String(),
  object: Type.Literal('model'),
  created: Type.Integer(),
  owned_by: Type.String(),
})
export const ModelList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(Model),
})

/** The list as Anthropic's clients expect it, in one page. */
function anthropicList(models: readonly Type.Static<typeof Model>[]): object {
  const data = models.map(({ id, created }) => ({
    type: 'model',
    id,
    display_name: id,
    created_at: new Date(created * 1000).toISOString(),
  }))
  return { data, has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null }
}

/**
 * `GET /v1/models` and `/v1/models/NAME`: router names, and the gateway's models or its policy's names, as
 * OpenAI clients list them.
 */
export function addModelsRoute(app: FastifyInstance, services: Services): void {
  const listed = ({ routers, models: named }: KeyHolder): Type.Static<typeof Model>[] => {
    const targets = [...(services.fleet.snapshot?.targets ?? [])]
    const names = services.policies?.names ?? services.gateway?.dispatcher.models.keys() ?? []
    // a key limited to some routers may name no model but those it lists
    const models = [...names].filter((name) => !routers || named?.has(name))
    const own = targets.filter(([, target]) => !routers || routers.has(target.name))
    const weir = { id: 'weir', object: 'model' as const, created: 0, owned_by: 'weir' }
    return [
      // the default router; a policy has the name in its list
      ...(services.gateway && !services.policies && own.length > 0 ? [weir] : []),
      ...own.map(([id, target]) => ({
        id,
        object: 'model' as const,
        created: Math.floor(Date.parse(target.arms[0]!.live.router.manifest.created) / 1000),
        owned_by: 'weir',
      })),
      ...models.map((id) => ({ id, object: 'model' as const, created: 0, owned_by: 'gateway' })),
    ]
  }
  app.get('/v1/models', { schema: { response: { 200: ModelList } } }, (request, reply) => {
    const data = listed(request.caller)
    if (request.headers['anthropic-version'] === undefined) {
      return { object: 'list' as const, data }
    }
    // as a text, which the schema of OpenAI's list does not apply to
    return reply.type('application/json; charset=utf-8').send(JSON.stringify(anthropicList(data)))
  })
  // names may have slashes in them
  app.get<{ Params: { '*': string } }>(
    '/v1/models/*',
    { schema: { response: { 200: Model } } },
    ({ caller, params }) => {
      const model = params['*']
      const models = listed(caller)
      const found = models.find(({ id }) => id === model)
      if (found) return found
      throw new WeirError(
        'model_not_served',
        { model, known: models.map(({ id }) => id) },
        { param: 'model' },
      )
    },
  )
}
