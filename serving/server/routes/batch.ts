import type { FastifyInstance } from 'fastify'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../../core/errors.ts'
import { findFault } from '../../../core/schema-fault.ts'
import { Decision, RouteRequest } from '../../../models/decision/decision.ts'
import { ErrorBody, errorAnswer, requestFacts } from '../../gateway/error-body.ts'
import type { Services } from '../services.ts'
import { withoutNulls } from '../validator.ts'
import { withDeclared } from './route.ts'

export const BATCH_LIMIT = 1000

export const BatchRequest = Type.Object(
  {
    /** each is checked separately: an invalid one does not fail the others */
    requests: Type.Array(Type.Unknown(), { minItems: 1, maxItems: BATCH_LIMIT }),
  },
  { additionalProperties: false },
)
export type BatchRequest = Type.Static<typeof BatchRequest>

export const BatchResponse = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(
    Type.Object({
      index: Type.Integer(),
      /** exactly one of the two */
      decision: Type.Optional(Decision),
      error: Type.Optional(ErrorBody.properties.error),
    }),
  ),
})
export type BatchResponse = Type.Static<typeof BatchResponse>

const itemCheck = Compile(RouteRequest)

/** `POST /route/batch`: up to a thousand requests, each with its decision or its error. */
export function addBatchRoute(app: FastifyInstance, services: Services): void {
  const { decider, gate, log } = services
  app.post<{ Body: BatchRequest }>(
    '/route/batch',
    { schema: { body: BatchRequest, response: { 200: BatchResponse } } },
    async (request): Promise<BatchResponse> => {
      gate.inFlight++
      try {
        const room = log?.room()
        if (room) await room
        const header = request.headers['x-weir-context']
        const items = request.body.requests.map((item, index) => {
          const checked = checkItem(item, index)
          return checked instanceof WeirError ? checked : withDeclared(checked, header)
        })
        const results = await decider.routeBatch(items, request.caller)
        return {
          object: 'list',
          data: results.map((result, index) =>
            result instanceof WeirError
              ? { index, error: errorAnswer(result, requestFacts(request)).body.error }
              : { index, decision: result },
          ),
        }
      } finally {
        gate.inFlight--
      }
    },
  )
}

function checkItem(item: unknown, index: number): RouteRequest | WeirError {
  if (itemCheck.Check(item)) return item
  const given = withoutNulls(item)
  if (itemCheck.Check(given)) return given
  const { field, expected, got } = findFault(RouteRequest, item)
  const where = field ? `requests.${index}.${field}` : `requests.${index}`
  return new WeirError('request_invalid', { where, expected, got }, { param: where })
}
