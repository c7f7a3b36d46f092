import type { Deciding, GatewayRequest, ServePlan } from '../gateway/plan.ts'
import type { RouteFile } from './file.ts'
import type { PolicyNeeds } from './needs.ts'
import type { ServeOptions } from './step.ts'

/** A route as a plan, over the models that are open. Undefined where none of its models is. */
export function routePlan(
  route: RouteFile,
  open: readonly string[],
  request: GatewayRequest,
  deciding: Deciding,
  { decision, propensity, score }: ServeOptions,
  needs: Pick<PolicyNeeds, 'allowDown' | 'hedgeAfterMs'>,
): ServePlan | undefined {
  const models = route.models.filter((model) => open.includes(model))
  if (models.length === 0) return undefined
  const maxLatencyMs = request.hints.max_latency_ms ?? route.max_latency_ms
  const deadlineMs = request.hints.deadline_ms ?? route.deadline_ms
  const allowDown = route.allow_down ?? needs.allowDown
  const hedgeAfterMs = route.hedge_after_ms ?? needs.hedgeAfterMs
  const scores = new Map(decision?.candidates.map(({ model, score }) => [model, score]))
  return {
    kind: 'serve',
    targets: models.map((model) => {
      const its = score ?? scores.get(model)
      return {
        model,
        ...(route.system === undefined ? {} : { system: route.system }),
        ...(route.parameters ? { parameters: route.parameters } : {}),
        ...(its === undefined ? {} : { score: its }),
      }
    }),
    strategy: route.strategy
      ? { kind: route.strategy.kind, settings: route.strategy, open }
      : { kind: 'single' },
    deciding,
    ...(decision ? { decision } : {}),
    ...(allowDown === undefined ? {} : { allowDown }),
    ...(hedgeAfterMs === undefined ? {} : { hedgeAfterMs }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(maxLatencyMs === undefined ? {} : { maxLatencyMs }),
    propensity: propensity ?? 1,
  }
}
