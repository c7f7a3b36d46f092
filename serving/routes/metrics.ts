import type { FastifyInstance } from 'fastify'
import type { Services } from '../services.ts'

/** `GET /metrics`, for Prometheus. */
export function addMetricsRoute(app: FastifyInstance, services: Services): void {
  const { metrics } = services
  if (!metrics) return
  app.get('/metrics', async (_, reply) => {
    const text = await metrics.registry.metrics()
    return reply.header('content-type', metrics.registry.contentType).send(text)
  })
}
