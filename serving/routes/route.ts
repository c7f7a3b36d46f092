import type { FastifyInstance } from 'fastify'
import { Decision, RouteRequest } from '../../models/decision.ts'
import type { RouterSource } from '../router-source.ts'

/** `POST /route`: one request in, one decision out. */
export function addRouteRoute(app: FastifyInstance, routers: RouterSource): void {
  app.post<{ Body: RouteRequest }>(
    '/route',
    { schema: { body: RouteRequest, response: { 200: Decision } } },
    (request) => {
      const { router: name, ...rest } = request.body
      return routers.pick(name).route(rest)
    },
  )
}
