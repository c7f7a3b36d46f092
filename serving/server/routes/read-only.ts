import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { WeirError } from '../../../core/errors.ts'
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

export const ModelList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(
    Type.Object({
      id: Type.String(),
      object: Type.Literal('model'),
      created: Type.Integer(),
      owned_by: Type.String(),
    }),
  ),
})

/**
 * `GET /v1/models`: router names, and the gateway's models or its policy's names, as OpenAI clients list
 * them.
 */
export function addModelsRoute(app: FastifyInstance, services: Services): void {
  app.get('/v1/models', { schema: { response: { 200: ModelList } } }, (request) => {
    const { routers } = request.caller
    const targets = [...(services.fleet.snapshot?.targets ?? [])]
    // a key limited to some routers may name no model
    const names = services.policies?.names ?? services.gateway?.dispatcher.models.keys() ?? []
    const models = routers ? [] : [...names]
    const served = models.map((id) => ({
      id,
      object: 'model' as const,
      created: 0,
      owned_by: 'gateway',
    }))
    return {
      object: 'list' as const,
      data: targets
        .filter(([, target]) => !routers || routers.has(target.name))
        .map(([id, target]) => ({
          id,
          object: 'model' as const,
          created: Math.floor(Date.parse(target.arms[0]!.live.router.manifest.created) / 1000),
          owned_by: 'weir',
        }))
        .concat(served),
    }
  })
}
