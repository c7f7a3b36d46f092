import type { FastifyInstance } from 'fastify'
import { WeirError } from '../../models/errors.ts'
import type { Services } from '../services.ts'

/** `GET /health`: the process lives. `GET /ready`: it can route; 503 while loading and while encoders fail. */
export function addHealthRoutes(app: FastifyInstance, services: Services): void {
  app.get('/health', () => ({ status: 'ok' }))
  app.get('/ready', () => {
    if (!services.fleet.snapshot) throw new WeirError('server_not_ready')
    const down = services.encoders.down()
    if (down.length > 0) throw new WeirError('encoder_down', { routers: down })
    return { status: 'ready' }
  })
}
