import type { FastifyInstance, FastifyReply } from 'fastify'
import { Decision, RouteRequest } from '../../../models/decision/decision.ts'
import { policyRules } from '../../policy/route-preview.ts'
import type { KeyHolder } from '../../router/keys.ts'
import { TurnQueue } from '../../state/turn-queue.ts'
import { withContextHeader } from '../context-header.ts'
import { sendDecision } from '../decision-json.ts'
import type { Services } from '../services.ts'

interface Asked {
  readonly body: RouteRequest
  readonly caller: KeyHolder
  readonly reply: FastifyReply
  decision: Decision | undefined
}

/** `POST /route`: one request in, one decision out. */
export function addRouteRoute(app: FastifyInstance, services: Services): void {
  const { decider, gate, log, tracing } = services
  const answer = ({ reply }: Asked, decision: Decision): void => {
    gate.inFlight--
    sendDecision(reply, decision)
  }
  const refuse = ({ reply }: Asked, error: unknown): void => {
    gate.inFlight--
    reply.send(error)
  }
  /** Also what the gateway's policy would do, if an explanation is requested. */
  const withPolicy =
    ({ body, caller }: Asked) =>
    async (decision: Decision): Promise<Decision> => {
      const { explanation } = decision
      if (!explanation || !services.policies) return decision
      const said = await policyRules(services.policies, body, decision, caller, services.now())
      return {
        ...decision,
        explanation: { ...explanation, rules: [...(explanation.rules ?? []), ...said] },
      }
    }
  /** The decision, if it is made at once; otherwise it is answered when it comes. */
  const decideNow = (asked: Asked): Decision | undefined => {
    try {
      const decision = decider.route(asked.body, asked.caller)
      if (!(decision instanceof Promise)) return decision
      const whole = asked.body.explain ? decision.then(withPolicy(asked)) : decision
      whole.then(
        (late) => answer(asked, late),
        (error: unknown) => refuse(asked, error),
      )
    } catch (error) {
      refuse(asked, error)
    }
    return undefined
  }
  const queue = new TurnQueue<Asked>((items) => {
    for (const asked of items) {
      const scope = asked.reply.request.traceScope
      asked.decision =
        tracing && scope ? tracing.run(scope, () => decideNow(asked)) : decideNow(asked)
    }
    for (const asked of items) if (asked.decision) answer(asked, asked.decision)
  })
  app.post<{ Body: RouteRequest }>(
    '/route',
    { schema: { body: RouteRequest, response: { 200: Decision } } },
    (request, reply) => {
      gate.inFlight++
      const { caller } = request
      const body = withDeclared(request.body, request.headers['x-weir-context'])
      const asked = { body, caller, reply, decision: undefined }
      const room = log?.room()
      if (room) void room.then(() => queue.add(asked))
      else queue.add(asked)
    },
  )
}

/** A request with the declared context of its header. */
export function withDeclared(
  body: RouteRequest,
  header: string | readonly string[] | undefined,
): RouteRequest {
  if (header === undefined) return body
  return { ...body, metadata: withContextHeader(body.metadata ?? {}, header) }
}
