import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import { createRandom } from '../../core/random.ts'
import { findListed, readModelList } from '../../models/model-list.ts'
import { readPrices } from '../../models/prices.ts'
import type { Budgets } from '../budgets/open.ts'
import type { Decider } from '../router/decider.ts'
import type { Fleet } from '../router/fleet.ts'
import type { HotStore } from '../state/hot-store.ts'
import { providerOf } from '../telemetry/provider.ts'
import type { Tracing } from '../telemetry/tracing.ts'
import { answersHeld, openUpstream, type UpstreamKind } from '../upstreams/kinds.ts'
import type { Upstream } from '../upstreams/upstream.ts'
import { Abilities } from './abilities.ts'
import { Backend, Pause } from './backend.ts'
import { Breaker } from './breaker.ts'
import {
  DEFAULT_ATTEMPTS,
  DEFAULT_FORWARD_HEADERS,
  DEFAULT_RATE_LIMIT_WAIT_MS,
  DEFAULT_REQUEST_DEADLINE_MS,
  DEFAULT_RETRY_BUDGET,
  DEFAULT_STREAM_LIMIT_MS,
  type GatewayConfig,
  type ModelConfig,
} from './config.ts'
import type { Policy, ServedObserver, Strategy } from './contracts.ts'
import { shareCooldowns } from './cooldowns.ts'
import { ModelDispatcher, RetryBudget, type ServedModel, type StartAttempt } from './dispatcher.ts'
import { createGateway, type Gateway } from './gateway.ts'
import { createLearnedPolicy } from './learned-policy.ts'
import {
  FAMILY_NAMES,
  mayCostMore,
  type ParameterRules,
  rulesFor,
  withParameters,
} from './parameters.ts'
import { reserving } from './spending.ts'

export interface OpenGatewayOptions {
  readonly fleet: Fleet
  readonly decider: Decider
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly observers?: readonly ServedObserver[]
  readonly strategies?: readonly Strategy[]
  /** replaces the default policy, which it gets to build on */
  readonly policy?: (learned: Policy, models: ReadonlyMap<string, ServedModel>) => Policy
  /** checks every attempt against the spending limits */
  readonly budgets?: Pick<Budgets, 'reserve' | 'refused'> | undefined
  readonly tracing?: Tracing | undefined
  /** what servers, or the workers of one, tell each other of upstreams */
  readonly shared?: HotStore | undefined
  /** kinds of upstream that the configuration may name, besides Weir's own */
  readonly upstreamKinds?: readonly UpstreamKind[] | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
  /** for load balancing and jitter: different in each process, so that they do not act in step */
  readonly seed: number
}

export interface OpenGateway extends Gateway {
  /** keyed by upstream */
  readonly breakers: ReadonlyMap<string, Breaker>
  close(): Promise<void>
}

/** The configuration with its price file and its list of capabilities filled in. @throws file_not_found, config_invalid */
export async function withPrices(gateway: GatewayConfig): Promise<GatewayConfig> {
  const filled = await withCapabilities(gateway)
  if (filled.prices === undefined) return filled
  const prices = await readPrices(filled.prices)
  const models = Object.entries(filled.models).map(([name, model]) => {
    const price = gateway.models[name]?.price ?? prices.get(name) ?? model.price
    return [name, price ? { ...model, price } : model] as const
  })
  return { ...filled, models: Object.fromEntries(models) }
}

/** Models with what the list of `capabilities` says of them, where they do not say it themselves. */
async function withCapabilities(gateway: GatewayConfig): Promise<GatewayConfig> {
  if (gateway.capabilities === undefined) return gateway
  const list = await readModelList(gateway.capabilities)
  const models = Object.entries(gateway.models).map(([name, model]) => {
    const names = model.upstreams.map((entry) => entry.model ?? name)
    const entry = findListed(list, [...names, name])
    if (!entry) return [name, model] as const
    const { context, outputTokens, price, features } = entry
    const listed = definedOnly({ context, output_tokens: outputTokens, price })
    const capabilities = { ...features, ...model.capabilities }
    return [name, { ...listed, ...model, capabilities }] as const
  })
  return { ...gateway, models: Object.fromEntries(models) }
}

/** The gateway of a configuration. @throws config_invalid */
export async function openGateway(
  config: GatewayConfig,
  options: OpenGatewayOptions,
): Promise<OpenGateway> {
  const { budgets } = options
  const clock = (): number => performance.now()
  const random = createRandom(options.seed)
  const upstreams = new Map<string, Upstream>()
  const breakers = new Map<string, Breaker>()
  const held = answersHeld()
  let endSharing = (): void => {}
  const close = async (): Promise<void> => {
    endSharing()
    await Promise.all([...upstreams.values()].map((upstream) => upstream.close()))
  }
  try {
    for (const [name, settings] of Object.entries(config.upstreams)) {
      const context = {
        name,
        where: `gateway.upstreams.${name}`,
        environment: options.environment,
        allowHosts: config.allow_hosts,
        held,
        now: options.now,
      }
      upstreams.set(name, await openUpstream(settings, context, options.upstreamKinds))
      breakers.set(name, new Breaker(config.breaker ?? {}, clock))
    }
    const forwardHeaders = config.forward_headers ?? DEFAULT_FORWARD_HEADERS
    const attempts = options.tracing && attemptSpans(options.tracing, config, forwardHeaders)
    const models = servedModels(config, upstreams, breakers, clock)
    assertCandidatesServed(options.fleet, models)
    const dispatcher = new ModelDispatcher({
      models,
      balance: config.balance ?? 'least_loaded',
      attempts: config.attempts ?? DEFAULT_ATTEMPTS,
      rateLimitWaitMs: config.rate_limit_wait_ms ?? DEFAULT_RATE_LIMIT_WAIT_MS,
      budget: new RetryBudget(config.retry_budget ?? DEFAULT_RETRY_BUDGET),
      now: clock,
      random: () => random.next(),
      spans: attempts,
      admit: budgets && reserving(budgets, (name) => models.get(name)?.costRules ?? []),
    })
    const learned = createLearnedPolicy({
      decider: options.decider,
      fleet: options.fleet,
      models,
      allowDown: config.allow_down ?? false,
      hedgeAfterMs: config.hedge_after_ms,
    })
    const gateway = createGateway({
      dispatcher,
      forwarding: {
        dispatcher,
        fallback: defaultBackend(config, upstreams, breakers, clock),
        spans: attempts,
        balance: config.balance ?? 'least_loaded',
        now: clock,
        random: () => random.next(),
      },
      policy: options.policy?.(learned, models) ?? learned,
      strategies: options.strategies ?? [],
      observers: options.observers ?? [],
      onOverBudget: (budget) => budgets?.refused(budget),
      deadlineMs: config.deadline_ms ?? DEFAULT_REQUEST_DEADLINE_MS,
      streamLimitMs: config.stream_limit_ms ?? DEFAULT_STREAM_LIMIT_MS,
      forwardHeaders,
      now: clock,
      tracing: options.tracing,
    })
    if (options.shared) {
      const backends = [...models.values()].flatMap((model) => model.backends)
      const { shared, now } = options
      endSharing = shareCooldowns({ shared, backends, breakers, clock, now })
    }
    return { ...gateway, breakers, close }
  } catch (error) {
    await close()
    throw error
  }
}

function servedModels(
  config: GatewayConfig,
  upstreams: ReadonlyMap<string, Upstream>,
  breakers: ReadonlyMap<string, Breaker>,
  clock: () => number,
): Map<string, ServedModel> {
  const models = new Map<string, ServedModel>()
  const keyPauses = new Map([...upstreams.keys()].map((name) => [name, new Pause()]))
  for (const [name, model] of Object.entries(config.models)) {
    const { upstreams: behind, price, quality, parameters } = model
    assertFamily(name, parameters)
    const costRules: ParameterRules[] = []
    const backends = behind.map((entry, i) => {
      const upstream = upstreams.get(entry.upstream)
      if (upstream) {
        const breaker = breakers.get(entry.upstream)!
        const keyPause = keyPauses.get(entry.upstream)
        const { model: asked = name, weight = 1 } = entry
        const rules = withinLimits(rulesFor(asked, parameters), model.output_tokens)
        const fitted = withParameters(upstream, rules)
        if (mayCostMore(rules)) costRules.push(rules)
        return new Backend(fitted, asked, weight, breaker, clock, keyPause)
      }
      throw new WeirError('config_invalid', {
        where: `gateway.models.${name}.upstreams[${i}]`,
        expected: `one of gateway.upstreams (${[...upstreams.keys()].join(', ')})`,
        got: entry.upstream,
      })
    })
    const { context, output_tokens: outputTokens, capabilities: features } = model
    const abilities = new Abilities({ context, outputTokens, features }, clock)
    const cache = cacheName(name, model, config.upstreams)
    models.set(name, { name, backends, price, quality, abilities, costRules, cache })
  }
  return models
}

/** Starts the span of each attempt, with what is known of the upstream. */
function attemptSpans(
  tracing: Tracing,
  { upstreams }: GatewayConfig,
  forwardHeaders: readonly string[],
): StartAttempt {
  const propagates = forwardHeaders.includes('traceparent')
  const providers = new Map(
    Object.entries(upstreams).map(([name, settings]) => [name, providerOf(settings, propagates)]),
  )
  return ({ backend, endpoint, request, body }) =>
    tracing.attempt({
      endpoint,
      provider: providers.get(backend.upstream.name) ?? providerOf({}, propagates),
      model: backend.model,
      upstream: backend.upstream.name,
      body,
      session: request.hints.session_id,
    })
}

/**
 * What a model's prompts are cached under: entries for one model of the same upstreams, such as one model at two efforts,
 * share it. Anthropic's caches do not outlive a change of thinking.
 */
function cacheName(
  name: string,
  { upstreams, parameters }: ModelConfig,
  sections: GatewayConfig['upstreams'],
): string {
  const places = upstreams.map(({ upstream, model = name }) => `${upstream} ${model}`).sort()
  const thinks = upstreams.some(({ upstream }) => sections[upstream]?.kind === 'anthropic')
  return JSON.stringify(thinks ? [places, parameters ?? null] : places)
}

/** Where requests go that name none of our models. @throws config_invalid */
function defaultBackend(
  { default_upstream: name }: GatewayConfig,
  upstreams: ReadonlyMap<string, Upstream>,
  breakers: ReadonlyMap<string, Breaker>,
  clock: () => number,
): Backend | undefined {
  if (name === undefined) return undefined
  const upstream = upstreams.get(name)
  const forwardsAll = (one: Upstream): boolean => one.forward !== undefined && !one.forwards
  if (upstream && forwardsAll(upstream))
    return new Backend(upstream, '', 1, breakers.get(name)!, clock)
  const able = [...upstreams.values()].filter(forwardsAll).map((one) => one.name)
  throw new WeirError('config_invalid', {
    where: 'gateway.default_upstream',
    expected: `one of gateway.upstreams with OpenAI's API (${able.join(', ')})`,
    got: name,
  })
}

function assertFamily(model: string, parameters: ParameterRules | undefined): void {
  const family = parameters?.family
  if (family === undefined || FAMILY_NAMES.includes(family)) return
  throw new WeirError('config_invalid', {
    where: `gateway.models.${model}.parameters.family`,
    expected: `one of ${FAMILY_NAMES.join(', ')}`,
    got: family,
  })
}

/** A model is not asked for more tokens than it can write: it would refuse, and the limit is a limit anyway. */
function withinLimits(rules: ParameterRules, outputTokens: number | undefined): ParameterRules {
  if (outputTokens === undefined) return rules
  const most = { max: outputTokens }
  const clamp = { max_tokens: most, max_completion_tokens: most, ...rules.clamp }
  return { ...rules, clamp }
}

/** Otherwise a router that picks a model without a backend would fail at the first request. */
function assertCandidatesServed(fleet: Fleet, models: ReadonlyMap<string, ServedModel>): void {
  for (const [router, live] of fleet.snapshot?.routers ?? []) {
    for (const { model, role } of live.router.manifest.candidates) {
      if (role === 'other' || models.has(model)) continue
      throw new WeirError('config_invalid', {
        where: 'gateway.models',
        expected: `${model}, the ${role} model of the router ${router}`,
        got: [...models.keys()].join(', '),
      })
    }
  }
}
