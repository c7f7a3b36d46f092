import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Attributes, Context, Span } from '@opentelemetry/api'
import { WeirError } from '../../core/errors.ts'
import type { DecisionObserver } from '../router/observer.ts'
import type { Usage } from '../upstreams/upstream.ts'
import type { Provider } from './provider.ts'

/** A request as spans see it: what is made while `run` runs belongs to its trace. */
export type TraceScope = Context

/** One question to one upstream, before it is asked. */
export interface AttemptFacts {
  readonly endpoint: string
  readonly provider: Provider
  /** the upstream's name for the model */
  readonly model: string
  /** the name in the configuration */
  readonly upstream: string
  readonly body: Readonly<Record<string, unknown>>
  readonly session: string | undefined
}

/** The span of one attempt. */
export interface AttemptSpan {
  /** headers of the client's request with those that carry this span instead of the client's */
  carry(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>>
  /** the first event of a stream has come */
  firstChunk(): void
  /** what a whole answer says of itself */
  answered(body: Readonly<Record<string, unknown>>): void
  /** @param outcome `answered`, or the kind of failure, which becomes `error.type` */
  end(outcome: string, usage: Usage | undefined): void
}

/** What a policy said, as attributes of its span. */
export interface PlannedFacts {
  readonly step: string
  readonly reason: string
  readonly name: string | undefined
  readonly policy: string | undefined
  readonly model: string | undefined
  readonly strategy: string | undefined
  readonly score: number | null | undefined
  readonly threshold: number | undefined
}

/** Spans and metrics of one process, for the SDK that the operator has registered. */
export interface Tracing {
  /**
   * The scope of a request that has just arrived. Where the SDK's HTTP instrumentation has made a span for it, that is
   * the parent; otherwise a SERVER span continues the client's `traceparent`, and ends with the answer.
   */
  enter(request: IncomingMessage, response: ServerResponse): TraceScope
  run<T>(scope: TraceScope, work: () => T): T
  /** one span per decision of a router */
  readonly decided: DecisionObserver
  /** A span around a policy's planning. */
  planned<T>(work: () => Promise<T>, facts: (plan: T) => PlannedFacts): Promise<T>
  attempt(facts: AttemptFacts): AttemptSpan
}

/** Bounds of histograms, as OpenTelemetry's GenAI conventions advise. */
const SECONDS = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
]
const FIRST_SECONDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
]
const TOKENS = [
  1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
]

/** `gen_ai.operation.name` by endpoint; others are asked of no model, or have no name of their own. */
const OPERATIONS: Readonly<Record<string, string>> = {
  chat: 'chat',
  responses: 'chat',
  messages: 'chat',
  embeddings: 'embeddings',
  completions: 'text_completion',
}

/** Parameters of a request by attribute, where the convention has one. */
const PARAMETERS: readonly (readonly [attribute: string, names: readonly string[]])[] = [
  ['gen_ai.request.max_tokens', ['max_completion_tokens', 'max_tokens', 'max_output_tokens']],
  ['gen_ai.request.temperature', ['temperature']],
  ['gen_ai.request.top_p', ['top_p']],
  ['gen_ai.request.frequency_penalty', ['frequency_penalty']],
  ['gen_ai.request.presence_penalty', ['presence_penalty']],
  ['gen_ai.request.seed', ['seed']],
]

/**
 * Opens OpenTelemetry's API, in this file alone. The SDK, its exporters and the HTTP instrumentation are registered by
 * the operator before weir starts (`node --import`); without them, spans are discarded at almost no cost.
 *
 * @throws module_missing
 */
export async function openTracing(): Promise<Tracing> {
  const api = await import('@opentelemetry/api').catch((cause: unknown) => {
    const facts = { what: '--spans', module: '@opentelemetry/api', reason: String(cause) }
    throw new WeirError('module_missing', facts, { cause })
  })
  const { context, trace, propagation, metrics, SpanKind, SpanStatusCode } = api
  const tracer = trace.getTracer('weir')
  const meter = metrics.getMeter('weir')
  const histogram = (name: string, unit: string, bounds: readonly number[], description: string) =>
    meter.createHistogram(name, {
      unit,
      description,
      advice: { explicitBucketBoundaries: [...bounds] },
    })
  const inferenceDuration = histogram(
    'gen_ai.client.inference.duration',
    's',
    SECONDS,
    'Duration of one question to a model.',
  )
  const firstChunk = histogram(
    'gen_ai.client.inference.time_to_first_chunk',
    's',
    FIRST_SECONDS,
    'Time to the first chunk of a stream.',
  )
  const inputTokens = meter.createCounter('gen_ai.client.inference.usage.input_tokens', {
    unit: '{token}',
    description: 'Tokens that models read.',
  })
  const outputTokens = meter.createCounter('gen_ai.client.inference.usage.output_tokens', {
    unit: '{token}',
    description: 'Tokens that models wrote.',
  })
  const duration = histogram(
    'gen_ai.client.operation.duration',
    's',
    SECONDS,
    'Duration of one question to a model (name of the conventions up to 1.41).',
  )
  const tokens = histogram(
    'gen_ai.client.token.usage',
    '{token}',
    TOKENS,
    'Tokens of one question to a model (name of the conventions up to 1.41).',
  )

  return {
    enter(request, response) {
      const active = context.active()
      if (trace.getSpan(active)) return active
      const { method = 'GET', url = '/' } = request
      const path = url.replace(/\?.*$/s, '')
      const parent = propagation.extract(active, request.headers)
      const span = tracer.startSpan(
        method,
        {
          kind: SpanKind.SERVER,
          attributes: { 'http.request.method': method, 'url.path': path, 'url.scheme': 'http' },
        },
        parent,
      )
      response.once('close', () => {
        const { statusCode } = response
        span.setAttribute('http.response.status_code', statusCode)
        if (statusCode >= 500) {
          span.setAttribute('error.type', String(statusCode))
          span.setStatus({ code: SpanStatusCode.ERROR })
        }
        span.end()
      })
      return trace.setSpan(parent, span)
    },
    run: (scope, work) => context.with(scope, work),
    decided({ decision, request, time, seconds, cache, shadow }) {
      const attributes: Attributes = {
        'weir.decision.id': decision.id,
        'weir.router.name': decision.router.name,
        'weir.router.version': decision.router.version,
        'weir.model': decision.model,
        'weir.threshold': decision.threshold,
        'weir.reason': decision.reason,
        'weir.cache': cache,
        'weir.shadow': shadow,
      }
      if (decision.win_rate !== null) attributes['weir.win_rate'] = decision.win_rate
      if (decision.fallback_reason) attributes['weir.fallback_reason'] = decision.fallback_reason
      if (request.session_id !== undefined) {
        attributes['gen_ai.conversation.id'] = request.session_id
      }
      tracer.startSpan('route', { startTime: time - seconds * 1000, attributes }).end(time)
    },
    planned(work, facts) {
      return tracer.startActiveSpan('plan', async (span) => {
        try {
          const plan = await work()
          const { step, reason, name, policy, model, strategy, score, threshold } = facts(plan)
          span.setAttributes({
            'weir.policy.step': step,
            'weir.policy.reason': reason,
            ...(name !== undefined && { 'weir.policy.rule': name }),
            ...(policy !== undefined && { 'weir.policy.name': policy }),
            ...(model !== undefined && { 'weir.model': model }),
            ...(strategy !== undefined && { 'weir.strategy': strategy }),
            ...(typeof score === 'number' && { 'weir.win_rate': score }),
            ...(threshold !== undefined && { 'weir.threshold': threshold }),
          })
          return plan
        } catch (error) {
          span.setAttribute('error.type', error instanceof WeirError ? error.code : 'internal')
          span.setStatus({ code: SpanStatusCode.ERROR })
          throw error
        } finally {
          span.end()
        }
      })
    },
    attempt({ endpoint, provider, model, upstream, body, session }) {
      const operation = OPERATIONS[endpoint] ?? endpoint
      const common: Attributes = {
        'gen_ai.operation.name': operation,
        'gen_ai.provider.name': provider.name,
        ...(model !== '' && { 'gen_ai.request.model': model }),
        ...(provider.address !== undefined && {
          'server.address': provider.address,
          'server.port': provider.port,
        }),
      }
      const own: Attributes = { ...common, 'weir.upstream': upstream }
      const streams = body.stream === true
      if (streams) own['gen_ai.request.stream'] = true
      if (session !== undefined) own['gen_ai.conversation.id'] = session
      for (const [attribute, names] of PARAMETERS) {
        const value = names.map((name) => body[name]).find((one) => typeof one === 'number')
        if (value !== undefined) own[attribute] = value as number
      }
      if (typeof body.n === 'number' && body.n !== 1) own['gen_ai.request.choice.count'] = body.n
      const name = model === '' ? operation : `${operation} ${model}`
      const span: Span = tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes: own })
      const within = trace.setSpan(context.active(), span)
      const began = performance.now()
      const said: Attributes = {}
      return {
        carry(headers) {
          // an operator who does not pass the client's trace on passes on none
          if (headers.traceparent === undefined && !provider.propagates) return headers
          const carried: Record<string, string> = { ...headers }
          delete carried.traceparent
          delete carried.tracestate
          propagation.inject(within, carried)
          return carried
        },
        firstChunk() {
          const seconds = (performance.now() - began) / 1000
          span.setAttribute('gen_ai.response.time_to_first_chunk', seconds)
          firstChunk.record(seconds, common)
        },
        answered(answer) {
          if (typeof answer.model === 'string') said['gen_ai.response.model'] = answer.model
          if (typeof answer.id === 'string') span.setAttribute('gen_ai.response.id', answer.id)
          const reasons = finishReasons(answer)
          if (reasons.length > 0) span.setAttribute('gen_ai.response.finish_reasons', reasons)
        },
        end(outcome, usage) {
          const seconds = (performance.now() - began) / 1000
          const failed: Attributes = outcome === 'answered' ? {} : { 'error.type': outcome }
          const measured = { ...common, ...said, ...failed }
          span.setAttributes({ ...said, ...failed })
          if (outcome !== 'answered') span.setStatus({ code: SpanStatusCode.ERROR })
          duration.record(seconds, measured)
          const isInference = operation === 'chat' || operation === 'text_completion'
          if (isInference) inferenceDuration.record(seconds, measured)
          if (usage) {
            span.setAttributes(usageAttributes(usage))
            const counted = { ...common, ...said }
            if (isInference) {
              inputTokens.add(usage.inputTokens, counted)
              outputTokens.add(usage.outputTokens, counted)
            }
            tokens.record(usage.inputTokens, { ...counted, 'gen_ai.token.type': 'input' })
            if (operation !== 'embeddings') {
              tokens.record(usage.outputTokens, { ...counted, 'gen_ai.token.type': 'output' })
            }
          }
          span.end()
        },
      }
    },
  }
}

const usageAttributes = (usage: Usage): Attributes => ({
  'gen_ai.usage.input_tokens': usage.inputTokens,
  'gen_ai.usage.output_tokens': usage.outputTokens,
  ...(usage.cachedInputTokens !== undefined && {
    'gen_ai.usage.cache_read.input_tokens': usage.cachedInputTokens,
  }),
  ...(usage.cacheWriteTokens !== undefined && {
    'gen_ai.usage.cache_write.input_tokens': usage.cacheWriteTokens,
  }),
  ...(usage.reasoningTokens !== undefined && {
    'gen_ai.usage.reasoning.output_tokens': usage.reasoningTokens,
  }),
})

/** Of a chat completion, or of an answer of Anthropic's API. */
function finishReasons(answer: Readonly<Record<string, unknown>>): string[] {
  const { choices, stop_reason: stop } = answer
  if (typeof stop === 'string') return [stop]
  if (!Array.isArray(choices)) return []
  return (choices as ({ finish_reason?: unknown } | null)[])
    .map((choice) => choice?.finish_reason)
    .filter((reason) => typeof reason === 'string')
}
