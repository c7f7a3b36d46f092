import type { FastifyReply } from 'fastify'
import type { OnCancel } from '../gateway.ts'

/** Does the work of a request, which is told when the client has gone before its answer was written. */
export function withClient<T>(
  reply: FastifyReply,
  work: (cancelled: OnCancel) => Promise<T>,
): Promise<T> {
  return work((cancel) => {
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) cancel()
    })
  })
}
