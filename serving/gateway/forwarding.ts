import { WeirError } from '../../core/errors.ts'
import type { Cancellation } from '../upstreams/cancellation.ts'
import { UpstreamError } from '../upstreams/failure.ts'
import { UsageReader } from '../upstreams/forwarding.ts'
import type {
  AttemptProgress,
  ForwardedAnswer,
  ForwardedCall,
  ServedEndpoint,
} from '../upstreams/upstream.ts'
import { type Backend, type BalanceOptions, chooseBackend } from './backend.ts'
import type { Dispatch } from './contracts.ts'
import { AttemptRecord, keeping, type ModelDispatcher, type StartAttempt } from './dispatcher.ts'

/**
 * The model of requests to the default upstream, in logs and metrics: they may name any model of it, or none.
 */
export const UNLISTED = 'unlisted'

/** Endpoints that ask a model, for spans. */
const OF_MODELS: ReadonlySet<ServedEndpoint> = new Set(['completions'])

/** A request that is sent on as the client wrote it. */
export interface Forwarding
  extends Pick<ForwardedCall, 'method' | 'path' | 'query' | 'headers' | 'body'> {
  /** the body with the upstream's name of the model in it; absent if the body names none */
  readonly withModel?: ((model: string) => ForwardedCall['body']) | undefined
}

export interface ForwardOptions extends BalanceOptions {
  readonly dispatcher: ModelDispatcher
  /** where requests go that name none of our models */
  readonly fallback: Backend | undefined
  readonly spans?: StartAttempt | undefined
}

/** An upstream's answer, and who gave it. `body` must be read to its end or destroyed. */
export interface Forwarded {
  readonly model: string
  readonly upstream: string
  readonly answer: ForwardedAnswer
}

/**
 * Sends a request once: to an upstream of the model that it names, else to the default one. A body that is
 * streamed cannot be sent again, and what a repeated request would do is not known.
 *
 * @throws UpstreamError, upstream_unavailable, model_not_served, route_not_found, errors of budgets
 */
export async function forward(
  sent: Forwarding,
  dispatch: Pick<Dispatch, 'request' | 'headers' | 'costs' | 'remainingMs'> & {
    readonly endpoint: ServedEndpoint
  },
  cancellation: Cancellation,
  reservation: ReturnType<ModelDispatcher['admitted']>,
  options: ForwardOptions,
): Promise<Forwarded> {
  const { dispatcher, fallback, now } = options
  const listed = dispatcher.models.get(dispatch.request.body.model)
  const model = listed?.name ?? UNLISTED
  const reserved = await reservation
  const backends = listed && keeping(listed.backends, dispatch.request.pinned)
  const backend = backends ? chooseBackend(backends, options, { stream: false }) : fallback
  if (!backend) {
    reserved?.release()
    throw dispatcher.unavailable(model, backends ?? [])
  }
  const { request, endpoint } = dispatch
  // what asks no model (a list of files) is no operation of one
  const asks = sent.method === 'POST' && OF_MODELS.has(endpoint)
  const span = asks
    ? options.spans?.({ backend, endpoint, request, body: request.passed ?? {} })
    : undefined
  const headers = span?.carry(dispatch.headers) ?? dispatch.headers
  const record = new AttemptRecord(backend, model, dispatch.costs, now, reserved, span)
  const progress: AttemptProgress = {}
  try {
    const { upstream } = backend
    if (!upstream.forward) {
      const reason = `it has no endpoint ${sent.method} ${sent.path}`
      throw new UpstreamError('misconfigured', { upstream: upstream.name, reason })
    }
    const answer = await upstream.forward(
      {
        ...sent,
        body: listed && sent.withModel ? sent.withModel(backend.model) : sent.body,
        headers: { ...headers, ...sent.headers },
        remainingMs: dispatch.remainingMs(),
        progress,
      },
      cancellation,
    )
    watch(answer, sent, record)
    return { model, upstream: upstream.name, answer }
  } catch (error) {
    record.failed(error, progress)
    throw error
  }
}

/** Ends the attempt with its answer: at its last byte, where it broke, or where it was given up. */
function watch(answer: ForwardedAnswer, { method }: Forwarding, record: AttemptRecord): void {
  const { body, status } = answer
  const usage = new UsageReader(answer)
  const billed = method === 'POST'
  if (billed) body.on('data', (chunk: Buffer) => usage.push(chunk))
  body.once('end', () => record.end(outcomeOf(status), billed ? usage.usage() : undefined))
  body.once('error', (error) => record.failed(error, {}))
  body.once('close', () => record.end('cancelled'))
  // whoever reads it starts it
  body.pause()
}

/** What an answer's status says of the upstream; about our account it does not get this far. */
function outcomeOf(status: number): string {
  if (status < 300) return 'answered'
  if (status === 429) return 'rate_limited'
  return status >= 500 ? 'server_error' : 'rejected'
}

/** @throws if a request without one of our models has nowhere to go */
export function assertForwardable(
  model: string,
  { dispatcher, fallback }: Pick<ForwardOptions, 'dispatcher' | 'fallback'>,
  { method, path }: Forwarding,
): void {
  if (dispatcher.models.has(model) || fallback) return
  if (model !== '') dispatcher.model(model)
  throw new WeirError('route_not_found', {
    method,
    path: `/v1${path}, without a model of gateway.models, needs gateway.default_upstream`,
  })
}
