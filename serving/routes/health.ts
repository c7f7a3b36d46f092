import type { FastifyInstance } from 'fastify'
import { WeirError } from '../../models/errors.ts'
import type { RouterSource } from '../router-source.ts'

/** `GET /health`: the process lives. `GET /ready`: it can route; 503 until then. */
export function addHealthRoutes(app: FastifyInstance, routers: RouterSource): void {
  app.get('/health', () => ({ status: 'ok' }))
  app.get('/ready', () => {
    if (!routers.ready) throw new WeirError('server_not_ready')
    return { status: 'ready' }
  })
}
