import type { FastifyInstance } from 'fastify'
import { Decision, RouteRequest } from '../../models/decision.ts'
import { sendDecision } from '../decision-json.ts'
import type { Services } from '../services.ts'

/** `POST /route`: one request in, one decision out. */
export function addRouteRoute(app: FastifyInstance, services: Services): void {
  const { decider, gate, log } = services
  app.post<{ Body: RouteRequest }>(
    '/route',
    { schema: { body: RouteRequest, response: { 200: Decision } } },
    async (request, reply) => {
      gate.inFlight++
      try {
        const room = log?.room()
        if (room) await room
        sendDecision(reply, await decider.route(request.body, request.caller))
      } finally {
        gate.inFlight--
      }
    },
  )
}
