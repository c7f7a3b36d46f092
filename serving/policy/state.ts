import { WeirError } from '../../core/errors.ts'
import type { Deciding, GatewayRequest, Planning, ServePlan } from '../gateway/contracts.ts'

import { traitsOf } from '../gateway/traits.ts'
import { Draws, unitOf } from './draws.ts'
import type { PolicyFile, RouteFile } from './file.ts'
import { askLearned, isNamed, type LearnedRouter } from './learned-router.ts'
import { compileLimits } from './limits.ts'
import type { PolicyNeeds } from './needs.ts'
import { type Pass, pass } from './pass.ts'
import type { SemanticMatch } from './semantic.ts'
import type { ServeOptions, StepState } from './step.ts'

/** Longest wait for a question's embedding, where the file says nothing else. */
const DEFAULT_EMBED_MS = 1000

export interface StateOptions {
  /** how percentage splits fall; by the request's unit unless told */
  readonly draws?: Draws
  /** instead of the router's `route` */
  readonly ask?: LearnedRouter['route']
  /** of the same request: its text is not read and embedded again */
  readonly from?: StepState
}

export type StateMaker = (
  request: GatewayRequest,
  planning: Planning,
  options?: StateOptions,
) => StepState

/** What steps see of a request. The function it makes throws `model_not_served` for a name that is nobody's. */
export function stateMaker(file: PolicyFile, needs: PolicyNeeds): StateMaker {
  const limits = compileLimits(file, needs.limits)
  const routeNamed = (name: string): RouteFile | undefined =>
    Object.hasOwn(file.routes ?? {}, name)
      ? file.routes?.[name]
      : Object.hasOwn(file.models, name)
        ? { models: [name] }
        : undefined
  return (request, { signal, send }, { draws, ask, from } = {}) => {
    const traits = from?.traits ?? traitsOf(request)
    const limited = from ?? limits(request, traits)
    const splits = draws ?? new Draws(unitOf(request))
    const { learned } = needs
    const route = ask ?? ((asked, caller) => learned!.route(asked, caller))
    return {
      closed: limited.closed,
      open: limited.open,
      sensitive: limited.sensitive,
      request,
      traits,
      signal,
      send,
      named: namedIn(request.body.model, routeNamed, file, needs),
      route: routeNamed,
      serve: (its, deciding, options = {}) =>
        routePlan(its, limited.open, request, deciding, options, needs),
      learned: once(() => askLearned(request, limited, file, learned, route)),
      near:
        from?.near ??
        once(() => nearest(traits.question, limited.sensitive, signal, file.semantic, needs)),
      draw: (split, share) => splits.take(split, share),
    }
  }
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () => {
    running ??= work()
    return running
  }
}

/** What is sensitive is not sent to an encoder elsewhere, and an encoder that fails decides nothing. */
async function nearest(
  question: string,
  sensitive: boolean,
  signal: AbortSignal,
  section: PolicyFile['semantic'],
  { semantic, onWarning }: PolicyNeeds,
): Promise<SemanticMatch | Pass | undefined> {
  if (!semantic) return pass('no_encoder')
  if (sensitive && semantic.remote) return pass('sensitive_and_encoder_remote')
  if (!/\S/.test(question)) return pass('no_text')
  const limit = AbortSignal.timeout(section?.deadline_ms ?? DEFAULT_EMBED_MS)
  try {
    return await semantic.match(question, AbortSignal.any([signal, limit]))
  } catch (error) {
    if (signal.aborted) throw signal.reason
    onWarning?.('the encoder of the semantic routes failed', error)
    return pass(limit.aborted ? 'encoder_late' : 'encoder_failed')
  }
}

function namedIn(
  model: string,
  route: StepState['route'],
  file: PolicyFile,
  { learned }: PolicyNeeds,
): StepState['named'] {
  // a model's own name may begin like that
  for (const name of [model, model.replace(/^weir\//, '')]) {
    const its = route(name)
    if (its) return { name, route: its }
  }
  if (isNamed(model, file.learned ? learned : undefined)) return undefined
  const known = ['weir', ...Object.keys(file.routes ?? {}), ...Object.keys(file.models)]
  throw new WeirError('model_not_served', { model, known }, { param: 'model' })
}

/** A route as a plan, over the models that are open. Undefined where none of its models is. */
function routePlan(
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
