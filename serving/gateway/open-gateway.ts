import { WeirError } from '../../core/errors.ts'
import { createRandom } from '../../core/random.ts'
import { readPrices } from '../../models/prices.ts'
import type { Budgets } from '../budgets/open.ts'
import type { Decider } from '../router/decider.ts'
import type { Fleet } from '../router/fleet.ts'
import { openUpstream, type UpstreamKind } from '../upstreams/kinds.ts'
import type { Upstream } from '../upstreams/upstream.ts'
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
} from './config.ts'
import type { Policy, ServedObserver, Strategy } from './contracts.ts'
import { ModelDispatcher, RetryBudget, type ServedModel } from './dispatcher.ts'
import { createGateway, type Gateway } from './gateway.ts'
import { createLearnedPolicy } from './learned-policy.ts'
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

/** The configuration with the prices of its price file filled in. @throws file_not_found, config_invalid */
export async function withPrices(gateway: GatewayConfig): Promise<GatewayConfig> {
  if (gateway.prices === undefined) return gateway
  const prices = await readPrices(gateway.prices)
  const models = Object.entries(gateway.models).map(([name, model]) => {
    const price = model.price ?? prices.get(name)
    return [name, price ? { ...model, price } : model] as const
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
  const close = async (): Promise<void> => {
    await Promise.all([...upstreams.values()].map((upstream) => upstream.close()))
  }
  try {
    for (const [name, settings] of Object.entries(config.upstreams)) {
      const context = {
        name,
        where: `gateway.upstreams.${name}`,
        environment: options.environment,
        allowHosts: config.allow_hosts,
        now: options.now,
      }
      upstreams.set(name, await openUpstream(settings, context, options.upstreamKinds))
      breakers.set(name, new Breaker(config.breaker ?? {}, clock))
    }
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
      admit: budgets && reserving(budgets),
    })
    const learned = createLearnedPolicy({
      decider: options.decider,
      fleet: options.fleet,
      models: new Set(models.keys()),
      allowDown: config.allow_down ?? false,
      hedgeAfterMs: config.hedge_after_ms,
    })
    const gateway = createGateway({
      dispatcher,
      policy: options.policy?.(learned, models) ?? learned,
      strategies: options.strategies ?? [],
      observers: options.observers ?? [],
      onOverBudget: (budget) => budgets?.refused(budget),
      deadlineMs: config.deadline_ms ?? DEFAULT_REQUEST_DEADLINE_MS,
      streamLimitMs: config.stream_limit_ms ?? DEFAULT_STREAM_LIMIT_MS,
      forwardHeaders: config.forward_headers ?? DEFAULT_FORWARD_HEADERS,
      now: clock,
    })
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
  for (const [name, { upstreams: behind, price, quality }] of Object.entries(config.models)) {
    const backends = behind.map((entry, i) => {
      const upstream = upstreams.get(entry.upstream)
      if (upstream) {
        const breaker = breakers.get(entry.upstream)!
        const keyPause = keyPauses.get(entry.upstream)
        const { model = name, weight = 1 } = entry
        return new Backend(upstream, model, weight, breaker, clock, keyPause)
      }
      throw new WeirError('config_invalid', {
        where: `gateway.models.${name}.upstreams[${i}]`,
        expected: `one of gateway.upstreams (${[...upstreams.keys()].join(', ')})`,
        got: entry.upstream,
      })
    })
    models.set(name, { name, backends, price, quality })
  }
  return models
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
