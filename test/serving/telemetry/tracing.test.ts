import { context, metrics, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { providerOf } from '../../../serving/telemetry/provider.ts'
import { openTracing, type Tracing } from '../../../serving/telemetry/tracing.ts'
import { type GatewayApp, gatewayApp, HARD, user } from '../gateway/gateway-app.ts'
import { USAGE } from '../upstreams/scripted-upstream.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'
const traceparent = `00-${TRACE}-${PARENT}-01`

const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const meters = new MeterProvider({
  readers: [
    new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 }),
  ],
})
let tracing: Tracing
let app: GatewayApp

beforeAll(async () => {
  provider.register()
  metrics.setGlobalMeterProvider(meters)
  tracing = await openTracing()
})
afterAll(async () => {
  await provider.shutdown()
  await meters.shutdown()
  trace.disable()
  context.disable()
  propagation.disable()
  metrics.disable()
})
beforeEach(() => exporter.reset())
afterEach(() => app?.close())

const open = async (gateway = {}): Promise<void> => {
  app = await gatewayApp(gateway, {}, {}, () => ({}), { tracing })
}
const ask = (body: object, headers: Record<string, string> = { traceparent }): Promise<Response> =>
  fetch(`${app.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'weir', messages: user(HARD), ...body }),
  })
/** The spans by their names, once as many have ended. */
async function spans(count: number): Promise<Map<string, ReadableSpan>> {
  await expect.poll(() => exporter.getFinishedSpans().length).toBe(count)
  return new Map(exporter.getFinishedSpans().map((span) => [span.name, span]))
}
const parentOf = (span: ReadableSpan | undefined): string | undefined =>
  span?.parentSpanContext?.spanId

describe('a chat', () => {
  test('continues the client’s trace: request, plan, decision, and the model that was asked', async () => {
    await open()
    const response = await ask({ max_tokens: 7, weir: { session_id: 's-1' } })
    expect(response.status).toBe(200)
    const found = await spans(4)
    const request = found.get('POST')
    expect(request).toMatchObject({
      kind: SpanKind.SERVER,
      attributes: { 'http.response.status_code': 200, 'url.path': '/v1/chat/completions' },
    })
    expect(parentOf(request)).toBe(PARENT)
    const plan = found.get('plan')
    expect(plan).toMatchObject({
      kind: SpanKind.INTERNAL,
      attributes: {
        'weir.policy.step': 'learned',
        'weir.model': 'big',
        'weir.strategy': 'single',
        'weir.threshold': expect.any(Number),
        'weir.win_rate': expect.any(Number),
      },
    })
    expect(parentOf(plan)).toBe(request?.spanContext().spanId)
    const decision = found.get('route')
    expect(parentOf(decision)).toBe(plan?.spanContext().spanId)
    expect(decision).toMatchObject({
      kind: SpanKind.INTERNAL,
      attributes: { 'weir.model': 'big', 'gen_ai.conversation.id': 's-1' },
    })
    // backends count what has an operation's name as a question to a model
    expect(decision?.attributes).not.toHaveProperty('gen_ai.operation.name')
    const asked = found.get('chat big-2025')
    expect(parentOf(asked)).toBe(request?.spanContext().spanId)
    expect(asked).toMatchObject({
      kind: SpanKind.CLIENT,
      attributes: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': 'openai',
        'gen_ai.request.model': 'big-2025',
        'gen_ai.request.max_tokens': 7,
        'gen_ai.response.model': expect.any(String),
        'gen_ai.response.finish_reasons': ['stop'],
        'gen_ai.usage.input_tokens': USAGE.prompt_tokens,
        'gen_ai.usage.output_tokens': USAGE.completion_tokens,
        'server.address': '127.0.0.1',
        'server.port': Number(new URL(app.big.url).port),
        'gen_ai.conversation.id': 's-1',
      },
    })
    for (const span of found.values()) expect(span.spanContext().traceId).toBe(TRACE)
    expect(JSON.stringify([...found.values()].map((s) => s.attributes))).not.toContain('integral')
    // the upstream is called by the attempt, not by the client
    const [received] = app.big.received
    expect(received?.headers.traceparent).toBe(`00-${TRACE}-${asked?.spanContext().spanId}-01`)
  })

  test('that is retried has a span per attempt, with what went wrong', async () => {
    await open()
    app.big.script.push('error_500')
    await ask({})
    const found = await spans(5)
    const attempts = exporter.getFinishedSpans().filter(({ kind }) => kind === SpanKind.CLIENT)
    expect(attempts.map(({ attributes }) => attributes['error.type'])).toEqual([
      'server_error',
      undefined,
    ])
    expect(attempts[0]?.status.code).toBe(SpanStatusCode.ERROR)
    expect(new Set(attempts.map(parentOf))).toEqual(
      new Set([found.get('POST')?.spanContext().spanId]),
    )
  })

  test('that streams says when its first chunk came, and ends with its last', async () => {
    await open()
    await (await ask({ stream: true, stream_options: { include_usage: true } })).text()
    const asked = (await spans(4)).get('chat big-2025')
    expect(asked?.attributes).toMatchObject({
      'gen_ai.request.stream': true,
      'gen_ai.response.time_to_first_chunk': expect.any(Number),
      'gen_ai.usage.output_tokens': USAGE.completion_tokens,
    })
  })

  test('beside others of the same turn stays in its own trace', async () => {
    await open()
    const ids = Array.from({ length: 8 }, (_, i) => `${'0'.repeat(31)}${i + 1}`)
    await Promise.all(ids.map((id) => ask({}, { traceparent: `00-${id}-${PARENT}-01` })))
    await expect.poll(() => exporter.getFinishedSpans().length).toBe(32)
    for (const id of ids) {
      const own = exporter.getFinishedSpans().filter((s) => s.spanContext().traceId === id)
      expect(own.map(({ name }) => name).sort()).toEqual(['POST', 'chat big-2025', 'plan', 'route'])
    }
  })

  test('tells an upstream nothing of the trace where the operator passes none on', async () => {
    await open({ forward_headers: [] })
    await ask({})
    await spans(4)
    expect(app.big.received[0]?.headers).not.toHaveProperty('traceparent')
  })

  test('that no model may answer has the reason on its plan', async () => {
    await open()
    const response = await ask({ model: 'nobody' })
    expect(response.status).toBe(404)
    const found = await spans(2)
    expect(found.get('plan')?.attributes['error.type']).toBe('model_not_served')
  })
})

test('a decision of POST /route is in the client’s trace', async () => {
  await open()
  await fetch(`${app.url}/route`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent },
    body: JSON.stringify({ prompt: HARD }),
  })
  const found = await spans(2)
  expect(parentOf(found.get('route'))).toBe(found.get('POST')?.spanContext().spanId)
  expect(found.get('POST')?.spanContext().traceId).toBe(TRACE)
})

test('metrics have the names of the conventions', async () => {
  await open()
  await ask({ stream: true, stream_options: { include_usage: true } }).then((r) => r.text())
  await spans(4)
  measured.reset()
  await meters.forceFlush()
  const found = new Map(
    measured
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
      .map(({ descriptor, dataPoints }) => [descriptor.name, { ...descriptor, dataPoints }]),
  )
  expect([...found.keys()].sort()).toEqual([
    'gen_ai.client.inference.duration',
    'gen_ai.client.inference.time_to_first_chunk',
    'gen_ai.client.inference.usage.input_tokens',
    'gen_ai.client.inference.usage.output_tokens',
    'gen_ai.client.operation.duration',
    'gen_ai.client.token.usage',
  ])
  expect(found.get('gen_ai.client.inference.duration')?.unit).toBe('s')
  const used = found
    .get('gen_ai.client.token.usage')
    ?.dataPoints.map(({ attributes }) => attributes)
  expect(used).toContainEqual(
    expect.objectContaining({
      'gen_ai.token.type': 'output',
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'big-2025',
    }),
  )
})

test.each([
  [{ base_url: 'https://api.openai.com/v1' }, 'openai', 'api.openai.com', 443],
  [
    { base_url: 'https://x.openai.azure.com/openai?api-version=1' },
    'azure.ai.openai',
    'x.openai.azure.com',
    443,
  ],
  [{ kind: 'anthropic', base_url: 'http://10.0.0.1:8000' }, 'anthropic', '10.0.0.1', 8000],
  [{ base_url: 'http://vllm/v1' }, 'openai', 'vllm', 80],
  [{ base_url: 'https://notopenai.com/v1' }, 'openai', 'notopenai.com', 443],
  [{ kind: 'ai-sdk', package: '@ai-sdk/google-vertex/anthropic' }, 'gcp.vertex_ai', undefined, 443],
  [{ kind: 'ai-sdk', package: 'own-provider' }, 'own-provider', undefined, 443],
])('the provider of %j is %s', (settings, name, address, port) => {
  expect(providerOf(settings, true)).toEqual({ name, address, port, propagates: true })
})
