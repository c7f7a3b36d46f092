import { setTimeout as wait } from 'node:timers/promises'
import { WeirError } from '../../core/errors.ts'
import type { BodyText } from '../../core/json/large.ts'
import type { Price } from '../../models/prices.ts'
import type { Reservation } from '../budgets/reservations.ts'
import { type ClientBody, changedClientBody } from '../conversation/client-api.ts'
import type { AttemptSpan } from '../telemetry/tracing.ts'
import { editJson } from '../upstreams/body-text.ts'
import { cancelled, UpstreamError } from '../upstreams/failure.ts'

import { NoSuchApi } from '../upstreams/http-upstream.ts'
import type {
  AttemptProgress,
  ChatBody,
  LargeAnswer,
  PassedBody,
  ServedEndpoint,
  StreamAnswer,
  UpstreamAnswer,
  UpstreamCall,
  Usage,
} from '../upstreams/upstream.ts'
import type { Abilities } from './abilities.ts'
import {
  type Backend,
  type BalanceOptions,
  chooseBackend,
  usable,
  withinLatency,
} from './backend.ts'
import type { Permit } from './breaker.ts'
import type { Admission, Admit, Answer, Dispatch, GatewayRequest, Target } from './contracts.ts'
import type { ParameterRules } from './parameters.ts'
import { withNotes } from './parameters.ts'
import { affinityOf } from './sessions.ts'
import { endReservation, UNSENT } from './spending.ts'

/** A name of `gateway.models` and its backends. */
export interface ServedModel {
  readonly name: string
  readonly backends: readonly Backend[]
  readonly price: Price | undefined
  readonly quality: number | undefined
  /** what it can take, as stated and as learnt */
  readonly abilities?: Abilities | undefined
  /** models with the same name share the cache of prompts; its own if absent */
  readonly cache?: string | undefined
  /** rules of its upstreams by which an answer may cost more than was asked for */
  readonly costRules?: readonly ParameterRules[]
}

export interface DispatcherOptions extends BalanceOptions {
  readonly models: ReadonlyMap<string, ServedModel>
  readonly attempts: number
  /** longest wait for a rate limit to pass, in milliseconds */
  readonly rateLimitWaitMs: number
  readonly budget: RetryBudget
  readonly spans?: StartAttempt | undefined
  /** may refuse an attempt before it is made */
  readonly admit?: Admit | undefined
}

/** Starts the span of an attempt. */
export type StartAttempt = (attempt: {
  readonly backend: Backend
  readonly endpoint: ServedEndpoint
  readonly request: GatewayRequest
  readonly body: Readonly<Record<string, unknown>>
}) => AttemptSpan

/** Share of the remaining time that an attempt may take if another could follow it. */
const ATTEMPT_SHARE = 0.6

/** Asks models: picks a backend, retries, and respects breakers and Retry-After. */
export class ModelDispatcher {
  private readonly options: DispatcherOptions

  constructor(options: DispatcherOptions) {
    this.options = options
  }

  /** @throws model_not_served */
  model(name: string): ServedModel {
    const { models } = this.options
    const model = models.get(name)
    if (model) return model
    throw new WeirError(
      'model_not_served',
      { model: name, known: [...models.keys()] },
      { param: 'model' },
    )
  }

  get models(): ReadonlyMap<string, ServedModel> {
    return this.options.models
  }

  /** Whether some upstream of the model is available and, as far as is known, fast enough. */
  ready(name: string, stream: boolean, maxLatencyMs: number | undefined): boolean {
    const now = this.options.now()
    return this.model(name).backends.some(
      (backend) => usable(backend, now) && withinLatency(backend, stream, maxLatencyMs),
    )
  }

  /** Tokens of the model's answers of late, as a mean; undefined if too few are known. */
  answerTokens(name: string): number | undefined {
    const known = (this.options.models.get(name)?.backends ?? []).flatMap(
      ({ pace }) => pace.answerTokens ?? [],
    )
    return known.length === 0 ? undefined : known.reduce((a, b) => a + b, 0) / known.length
  }

  /** Permission for an attempt that is not made by `send`. @throws the budget's refusal */
  admitted(dispatch: Admission): ReturnType<Admit> {
    return this.options.admit?.(dispatch)
  }

  /** Takes from the same budget as retries: a hedge is extra load as well. */
  takeHedge(): boolean {
    return this.options.budget.take()
  }

  /** @throws UpstreamError of the last attempt, upstream_unavailable, model_not_served, the signal's reason */
  async send(dispatch: Dispatch): Promise<Answer> {
    const { attempts, budget, random, now } = this.options
    const { target, cancellation, maxLatencyMs } = dispatch
    const { pinned } = dispatch.request
    const all = this.model(target.model).backends
    const backends = dispatch.native ? keeping(all, pinned) : all
    const stream = dispatch.body.stream === true
    const affinity = backends.length > 1 ? affinityOf(dispatch.request) : undefined
    const tried = new Set<Backend>()
    budget.earn()
    let last: UpstreamError | undefined
    let patienceMs = dispatch.request.hints.rate_limit_wait_ms ?? this.options.rateLimitWaitMs
    for (let attempt = 1; ; attempt++) {
      const limitedMs = this.limitedMs(backends)
      if (limitedMs !== undefined && limitedMs <= patienceMs && !dispatch.moreToTry) {
        if (limitedMs >= dispatch.remainingMs())
          throw last ?? this.unavailable(target.model, backends)
        patienceMs -= limitedMs
        await pauseFor(limitedMs, cancellation.signal)
      }
      let reservation = this.options.admit?.(dispatch)
      if (reservation instanceof Promise) {
        reservation = await reservation
        if (cancellation.cancelled) {
          reservation?.release()
          throw cancelled(cancellation.reason)
        }
      }
      const backend =
        chooseBackend(backends, this.options, { stream, maxLatencyMs, affinity, tried }) ??
        (dispatch.moreToTry ? undefined : this.refusedBefore(backends, tried))
      if (!backend) {
        reservation?.release()
        throw last ?? this.unavailable(target.model, backends)
      }
      tried.add(backend)
      const fresh = (): boolean =>
        backends.some((other) => !tried.has(other) && usable(other, now()))
      const share = dispatch.moreToTry || fresh() ? ATTEMPT_SHARE : 1
      try {
        return await attemptOnce(
          dispatch,
          backend,
          dispatch.remainingMs() * share,
          now,
          reservation,
          this.options.spans,
        )
      } catch (error) {
        if (!(error instanceof UpstreamError) || !error.retryable) throw error
        last = error
      }
      if (attempt >= attempts) throw last
      const another = fresh()
      if (!another && last.kind === 'misconfigured') throw last
      const wanted = another ? 0 : (last.retryAfterMs ?? this.limitedMs(backends) ?? 0)
      // the caller is told when to come back rather than kept waiting for long
      if (wanted > patienceMs) throw last
      const limited = last.kind === 'rate_limited'
      const pause = another ? 0 : Math.max(backoffMs(attempt, random), wanted)
      // do not wait for a retry that would come too late, or while another model could be asked
      if (pause >= dispatch.remainingMs() || (dispatch.moreToTry && pause > PATIENCE_MS)) throw last
      if (!budget.take()) throw last
      // a rate limit is waited for above
      if (limited || pause === 0) continue
      patienceMs -= wanted
      await pauseFor(pause, cancellation.signal)
    }
  }

  /** Milliseconds until a rate limit is over, if nothing but rate limits keeps every backend from being asked. */
  private limitedMs(backends: readonly Backend[]): number | undefined {
    const now = this.options.now()
    let soonest: number | undefined
    for (const backend of backends) {
      if (usable(backend, now)) return undefined
      if (!backend.breaker.ready || backend.keyPause.until > now || !isLimited(backend)) continue
      const wait = backend.pause.until - now
      if (soonest === undefined || wait < soonest) soonest = wait
    }
    return soonest
  }

  /** A backend whose key or model was refused: asked again where nothing else is left, as it may be mended. */
  private refusedBefore(
    backends: readonly Backend[],
    tried: ReadonlySet<Backend>,
  ): Backend | undefined {
    const now = this.options.now()
    return backends.find(
      (backend) =>
        !tried.has(backend) &&
        backend.breaker.ready &&
        !(isLimited(backend) && backend.pause.until > now),
    )
  }

  /** What the upstreams that are left alone said, as long as that holds. */
  unavailable(model: string, backends: readonly Backend[]): WeirError {
    const now = this.options.now()
    const limited = backends.filter((backend) => backend.pause.until > now && isLimited(backend))
    if (limited.length > 0) {
      const soonest = limited.reduce((a, b) => (b.pause.until < a.pause.until ? b : a))
      const retryAfterMs = soonest.pause.until - now
      const { upstream, reason } = soonest.pause.failure!
      return new UpstreamError('rate_limited', { upstream, reason, retryAfterMs, status: 429 })
    }
    for (const { pause, keyPause } of backends) {
      const { failure } = keyPause.until > now ? keyPause : pause
      if (!failure || Math.max(keyPause.until, pause.until) <= now) continue
      const { upstream, reason, upstreamStatus: status } = failure
      return new UpstreamError('misconfigured', { upstream, reason, status })
    }
    const reason =
      backends.length > 0
        ? 'circuit breakers are open'
        : 'the upstream that keeps this response no longer serves it'
    return new WeirError('upstream_unavailable', { model, reason }, { retryAfter: OPEN_SECONDS })
  }
}

/** Of a model's upstreams the one that keeps what a request refers to; all if it refers to nothing. */
export const keeping = (
  backends: readonly Backend[],
  pinned: GatewayRequest['pinned'],
): readonly Backend[] =>
  pinned ? backends.filter(({ upstream }) => upstream.name === pinned.upstream) : backends

const isLimited = ({ pause }: Backend): boolean => pause.failure?.kind === 'rate_limited'

/** Seconds after which a client may ask again where circuit breakers are open. */
const OPEN_SECONDS = 5

/** Longest wait, in milliseconds, for a failing model while another could be asked. */
const PATIENCE_MS = 200

async function pauseFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    // timers drop fractions and may be a millisecond early, when what is waited for still holds
    await wait(Math.ceil(milliseconds) + 1, undefined, { signal })
  } catch (error) {
    throw signal.reason instanceof WeirError ? signal.reason : error
  }
}

/** How long an upstream that sends 429 without Retry-After is not asked, in milliseconds. */
const DEFAULT_PAUSE_MS = 1000
/** How long a key or a model that an upstream refuses is not asked, in milliseconds. */
const REFUSED_PAUSE_MS = 60_000

/** Asks one backend once, and reports the outcome to its breaker, its latency and the request's costs. */
async function attemptOnce(
  dispatch: Dispatch,
  backend: Backend,
  remainingMs: number,
  now: () => number,
  reservation?: Reservation,
  spans?: StartAttempt,
): Promise<Answer> {
  const { endpoint, target, cancellation, costs, request } = dispatch
  const span = spans?.({
    backend,
    endpoint,
    request,
    body: { ...dispatch.body, ...target.parameters },
  })
  const headers = span?.carry(dispatch.headers) ?? dispatch.headers
  const record = new AttemptRecord(backend, target.model, costs, now, reservation, span)
  const started = now()
  const stream = dispatch.body.stream === true
  const progress: AttemptProgress = {}
  try {
    const routed = dispatch.plan?.deciding.step !== 'model_named'
    const { client } = dispatch.request
    const holdsUsage = dispatch.request.hints.include_cost === true
    const { passes } = dispatch
    const answer = await (client
      ? askForClient(
          dispatch,
          client,
          backend,
          { headers, remainingMs, progress, holdsUsage, routed, passes },
          cancellation,
        )
      : backend.upstream.complete(
          // field by field: a spread object costs a microsecond
          {
            endpoint,
            body: bodyFor(target, dispatch.body, backend.model),
            text: dispatch.text && textFor(target, dispatch.text),
            headers,
            remainingMs,
            progress,
            holdsUsage,
            routed,
            passes,
            adjusted: undefined,
          },
          cancellation,
        ))
    backend.latency(stream).add(now() - started)
    const { name: upstream } = backend.upstream
    if (answer.kind === 'stream') span?.firstChunk()
    if (answer.kind !== 'complete') {
      const firstMs = now() - started
      const ended = (): void => {
        const tokens = answer.usage()?.outputTokens
        const restMs = now() - started - firstMs
        if (stream) backend.pace.addStream(firstMs, restMs, tokens)
        else backend.pace.addWhole(firstMs + restMs, tokens)
      }
      return { target, upstream, answer: accounted(answer, record, ended) }
    }
    span?.answered(answer.body)
    backend.pace.addWhole(now() - started, answer.usage?.outputTokens)
    record.end('answered', answer.usage)
    return { target, upstream, answer }
  } catch (error) {
    record.failed(error, progress)
    // also record times that are long enough to fail
    if (error instanceof UpstreamError && error.kind === 'timeout') {
      backend.latency(stream).add(now() - started)
      backend.pace.addLate(stream, now() - started)
    }
    throw error
  }
}

/**
 * Asks for an answer to a request of another API than chat completions: an upstream of that API gets the
 * client's body, any other the chat body, unless that cannot say all of it.
 */
async function askForClient(
  { target, body, native }: Dispatch,
  client: ClientBody,
  { upstream, model }: Backend,
  common: Omit<UpstreamCall, 'endpoint' | 'body'>,
  cancellation: Dispatch['cancellation'],
): Promise<UpstreamAnswer> {
  const chat = bodyFor(target, body, model) as ChatBody
  if (native && upstream.speaks?.(client.api)) {
    const { system, parameters } = target
    const notes: string[] = []
    const own = changedClientBody(client.api, client.body, parameters, system, (what) =>
      notes.push(what),
    )
    const changed = system !== undefined || parameters !== undefined
    const call = {
      ...common,
      endpoint: client.api,
      body: { ...own, model } as PassedBody,
      text: changed ? undefined : client.text,
      chat,
      // the id of an answer that the upstream keeps is changed
      passes: common.passes && !(common.routed && client.api === 'responses'),
    }
    try {
      return withNotes({ ...(await upstream.complete(call, cancellation)), native: true }, notes)
    } catch (error) {
      if (!(error instanceof NoSuchApi)) throw error
    }
  }
  if (client.refused) {
    const { message, param = null } = client.refused
    const spoken = {
      message,
      type: 'invalid_request_error',
      code: 'unsupported_parameter',
      param,
    }
    const facts = { upstream: upstream.name, reason: message, status: 400, spoken }
    throw new UpstreamError('rejected', facts)
  }
  const call = {
    ...common,
    endpoint: 'chat' as const,
    body: chat,
    translated: true,
    passes: false,
  }
  return withNotes(await upstream.complete(call, cancellation), client.adjusted)
}

/** One attempt at a backend, from its start: tells the breaker, the request's costs and the budget how it ended. */
export class AttemptRecord {
  private readonly backend: Backend
  private readonly model: string
  private readonly costs: Dispatch['costs']
  private readonly now: () => number
  private readonly reservation: Reservation | undefined
  private readonly permit: Permit
  private readonly started: number
  private readonly span: AttemptSpan | undefined
  private ended = false

  constructor(
    backend: Backend,
    model: string,
    costs: Dispatch['costs'],
    now: () => number,
    reservation: Reservation | undefined,
    span?: AttemptSpan,
  ) {
    this.span = span
    this.backend = backend
    this.model = model
    this.costs = costs
    this.now = now
    this.reservation = reservation
    this.permit = backend.breaker.enter()
    this.started = now()
    backend.inFlight++
  }

  /** Only the first call counts. */
  end(outcome: string, usage?: Usage): void {
    if (this.ended) return
    this.ended = true
    const { backend, model, permit, reservation } = this
    backend.inFlight--
    tell(permit, outcome)
    this.span?.end(outcome, usage)
    const { name: upstream } = backend.upstream
    const milliseconds = this.now() - this.started
    const attempt = this.costs.add({ model, upstream, milliseconds, outcome, usage })
    if (reservation) endReservation(reservation, attempt)
  }

  /** Also leaves the backend alone where the error says so. */
  failed(error: unknown, { sent }: AttemptProgress): void {
    this.end(sent === false ? unsent(error) : outcomeOf(error))
    if (!(error instanceof UpstreamError)) return
    const { backend, now } = this
    if (error.kind === 'rate_limited') {
      backend.pause.set(now() + (error.retryAfterMs ?? DEFAULT_PAUSE_MS), error)
    } else if (error.pauses) {
      const pause = error.pauses === 'key' ? backend.keyPause : backend.pause
      pause.set(now() + (error.retryAfterMs ?? REFUSED_PAUSE_MS), error)
    }
  }
}

/** The client's body with this target's changes. */
function bodyFor({ system, parameters }: Target, body: PassedBody, model: string): PassedBody {
  if (system === undefined && parameters === undefined) return { ...body, model }
  const messages = body.messages as readonly unknown[] | undefined
  return {
    ...body,
    ...parameters,
    ...(system === undefined
      ? {}
      : { messages: [{ role: 'system', content: system }, ...(messages ?? [])] }),
    model,
  }
}

/** The client's JSON with this target's changes; undefined if that is not certain to work. */
function textFor({ system, parameters }: Target, text: BodyText): BodyText | undefined {
  if (system === undefined && parameters === undefined) return text
  const edits: Record<string, string | ((value?: string) => string)> = {}
  for (const [name, value] of Object.entries(parameters ?? {})) {
    if (value === undefined) return undefined
    edits[name] = JSON.stringify(value)
  }
  if (system !== undefined) {
    const turn = JSON.stringify({ role: 'system', content: system })
    edits.messages = (value = '[]') =>
      /^\[\s*\]$/.test(value) ? `[${turn}]` : `[${turn},${value.slice(1)}`
  }
  return editJson(text, edits)
}

/** An answer that comes in parts is an attempt until its last byte: a break in the middle is a failure of the upstream. */
function accounted(
  answer: StreamAnswer | LargeAnswer,
  record: AttemptRecord,
  ended: () => void,
): StreamAnswer | LargeAnswer {
  async function* counted<T>(chunks: AsyncIterable<T>): AsyncGenerator<T> {
    let outcome = 'cancelled'
    try {
      yield* chunks
      outcome = 'answered'
      ended()
    } catch (error) {
      outcome = outcomeOf(error)
      throw error
    } finally {
      record.end(outcome, answer.usage())
    }
  }
  const cancel = (): void => {
    answer.cancel()
    record.end('cancelled', answer.usage())
  }
  return answer.kind === 'stream'
    ? { ...answer, chunks: counted(answer.chunks), cancel }
    : { ...answer, chunks: counted(answer.chunks), cancel }
}

function outcomeOf(error: unknown): string {
  if (error instanceof UpstreamError) return error.kind
  return error instanceof WeirError ? 'cancelled' : 'error'
}

/** The outcome of an attempt of which nothing has left this machine, so that nothing can be billed. */
const unsent = (error: unknown): string =>
  error instanceof UpstreamError ? outcomeOf(error) : UNSENT

function tell(permit: Permit, outcome: string): void {
  switch (outcome) {
    // the upstream works: it refused this request
    case 'answered':
    case 'rejected':
      permit.succeeded()
      break
    // a rate limit is not a failure: the backend is not asked for as long as it said
    case 'rate_limited':
    case 'cancelled':
    case UNSENT:
    case 'error':
      permit.dropped()
      break
    default:
      permit.failed()
  }
}

/** Retries that may be saved up, so that a burst after a quiet time can be retried. */
const MOST = 20

/**
 * How many retries a server may still make: each request earns a share of one, each retry takes one. When
 * everything fails, retries then add a fifth to the load rather than multiply it.
 */
export class RetryBudget {
  private readonly share: number
  private left = MOST / 2

  /** @param share retries earned per request; 0 forbids them */
  constructor(share: number) {
    this.share = share
    if (share === 0) this.left = 0
  }

  earn(): void {
    this.left = Math.min(MOST, this.left + this.share)
  }

  /** Whether a retry may be made; counts it if so. */
  take(): boolean {
    if (this.left < 1) return false
    this.left--
    return true
  }
}

const FIRST_WAIT_MS = 50
const LONGEST_WAIT_MS = 2_000

/** Milliseconds to wait before retry n = 1, 2, ...: full jitter, so that clients do not retry in step. */
export function backoffMs(retry: number, random: () => number): number {
  return random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (retry - 1))
}
