import { WeirError } from '../models/errors.ts'
import type { DecisionObserver } from './decision/observer.ts'

/**
 * One OpenTelemetry span a decision, under the span of the request where the SDK keeps one, with the
 * attribute names of the GenAI conventions. The SDK and its exporter are the operator's, registered
 * before weir starts (`node --import`); without one a span goes nowhere and costs next to nothing.
 *
 * @throws engine_unavailable where @opentelemetry/api is not installed
 */
export async function openDecisionSpans(): Promise<DecisionObserver> {
  const { trace } = await import('@opentelemetry/api').catch((cause: unknown) => {
    throw new WeirError(
      'module_missing',
      { what: '--spans', module: '@opentelemetry/api', reason: String(cause) },
      { cause },
    )
  })
  const tracer = trace.getTracer('weir')
  return ({ decision, request, time, seconds, cache, shadow }) => {
    const attributes: Record<string, string | number | boolean> = {
      'gen_ai.operation.name': 'route',
      'gen_ai.request.model': request.router ?? 'default',
      'gen_ai.response.model': decision.model,
      'gen_ai.response.id': decision.id,
      'weir.router.name': decision.router.name,
      'weir.router.version': decision.router.version,
      'weir.threshold': decision.threshold,
      'weir.reason': decision.reason,
      'weir.cache': cache,
      'weir.shadow': shadow,
    }
    if (decision.win_rate !== null) attributes['weir.win_rate'] = decision.win_rate
    if (decision.fallback_reason) attributes['weir.fallback_reason'] = decision.fallback_reason
    if (request.session_id !== undefined) attributes['gen_ai.conversation.id'] = request.session_id
    const span = tracer.startSpan('route', { startTime: time - seconds * 1000, attributes })
    span.end(time)
  }
}
