import { randomInt, randomUUID } from 'node:crypto'
import { type CloseStack, openOrClose } from '../../core/close-stack.ts'
import { WeirError } from '../../core/errors.ts'
import type { Encoder } from '../../models/encoders/encoder.ts'
import type { LogContents } from '../../records/decision-record.ts'
import { openFeedbackStore } from '../../records/feedback/open-store.ts'
import { segmentStore } from '../../records/feedback/segment-store.ts'
import type { FeedbackStore } from '../../records/feedback/store.ts'
import { type LogWriter, openLogWriter } from '../../records/log-writer.ts'
import { AlarmWatcher } from '../alarms/watcher.ts'
import { openAuditLog } from '../audit/audit-log.ts'
import { type BundleAudit, bundleAudit } from '../audit/bundle-audit.ts'
import { policyHooks } from '../audit/policy-hooks.ts'
import { type Budgets, openBudgets, spendFolderOf } from '../budgets/open.ts'
import { LEARNED_POLICY_STEPS } from '../gateway/learned-policy.ts'
import { gatewayMetrics } from '../gateway/metrics.ts'
import { type OpenGateway, openGateway, withPrices } from '../gateway/open-gateway.ts'
import { requestLog } from '../gateway/request-log.ts'
import { assertBudgetRoutes, closedByBudget, spendObserver } from '../gateway/spending.ts'
import {
  budgetHooks,
  joinHooks,
  type LivePolicies,
  openGatewayPolicies,
} from '../policy/live-policies.ts'

import { policyMetrics } from '../policy/metrics.ts'

import { createExplorer } from '../router/choose.ts'
import { createDecider } from '../router/decider.ts'
import { EncoderHealth } from '../router/encoder-health.ts'
import { createFleet } from '../router/fleet.ts'
import { createKeyRing } from '../router/keys.ts'
import { OnlineLearner } from '../router/learner.ts'
import type { LiveRouter } from '../router/live-router.ts'
import { LoadGate } from '../state/load-gate.ts'
import { LeasedRateLimit, RateLimit, type RateLimiter } from '../state/rate-limit.ts'
import { createStrategies } from '../strategies/strategies.ts'
import {
  DEFAULT_DEADLINE_MS,
  DEFAULT_MAX_IN_FLIGHT,
  DEFAULT_MAX_LAG_MS,
  type ServeConfig,
} from './config.ts'
import { logObserver } from './decision-observers.ts'
import { createMetrics } from './metrics.ts'
import type { ServiceOptions } from './service-options.ts'
import type { Services } from './services.ts'

/** How soon an online state that was taken back on disk is taken back here. */
const FOLLOW_MS = 2000

export interface OpenServices extends Services {
  readonly bundleAudit: BundleAudit | undefined
  close(): Promise<void>
}

/** Everything a server works with, its routers loaded. @throws what is wrong with configuration or bundles */
export const openServices = (config: ServeConfig, options: ServiceOptions): Promise<OpenServices> =>
  openOrClose((parts) => openParts(config, options, parts))

async function openParts(
  config: ServeConfig,
  options: ServiceOptions,
  parts: CloseStack,
): Promise<OpenServices> {
  const now = options.now ?? Date.now
  const gate = parts.use(
    new LoadGate({
      maxInFlight: config.max_in_flight ?? DEFAULT_MAX_IN_FLIGHT,
      maxLagMs: config.max_lag_ms ?? DEFAULT_MAX_LAG_MS,
    }),
  )
  let log: LogWriter | undefined
  // closed after the routers: an embedding may still be on its way to its line
  parts.add(() => log?.close())
  const fleet = parts.use(createFleet(config, options.load ? { load: options.load } : {}))
  const encoders = new EncoderHealth(now)
  let gateway: OpenGateway | undefined
  let budgets: Budgets | undefined
  let policies: LivePolicies | undefined
  let feedback: FeedbackStore | undefined
  const metrics = await createMetrics({
    snapshot: () => fleet.snapshot,
    inFlight: () => gate.inFlight,
    lagMs: () => gate.lagMs,
    log: () => log,
  })
  const loaded = await fleet.reload()
  const audit =
    config.log && options.who
      ? await openAuditLog({
          folder: config.log.folder,
          who: options.who,
          now: () => new Date(now()),
        })
      : undefined
  const ofBundles = audit && bundleAudit(audit, options.onWarning)
  await ofBundles?.started(loaded.routers)
  const observers = [...(options.observers ?? []), metrics.observe]
  const servedObservers = [...(options.servedObservers ?? [])]
  if (config.log) {
    const holds = logHolds(config.log)
    log = await openLog(config.log, fleet.snapshot?.routers ?? new Map(), options)
    observers.push(logObserver(log, holds))
    servedObservers.push(requestLog(log, holds))
    feedback = segmentStore(log, config.log.folder)
  }
  if (config.store) feedback = parts.use(await openFeedbackStore(config.store))
  const alarms = config.alarms
    ? new AlarmWatcher({ config: config.alarms, fleet, now, onWarning: options.onWarning })
    : undefined
  if (alarms) {
    parts.add(() => alarms.settled())
    observers.push(alarms.observe)
    metrics.watch(alarms)
  }
  observers.push(({ decision }) => {
    if (decision.fallback_reason !== 'encoder_failed') encoders.worked(decision.router.name)
  })
  let online: OnlineLearner | undefined
  if (config.online) {
    if (!feedback) {
      throw new WeirError('config_invalid', {
        where: 'online',
        expected: 'log or store, where the feedback it learns from is kept',
        got: 'neither',
      })
    }
    const learner = parts.use(
      new OnlineLearner({ config: config.online, onWarning: options.onWarning }),
    )
    for (const live of fleet.snapshot?.routers.values() ?? []) await learner.ready(live)
    const following = setInterval(() => void learner.follow(), FOLLOW_MS)
    following.unref()
    parts.add(() => clearInterval(following))
    online = learner
  }
  // Thompson sampling turns choices as exploration does
  const exploration = config.exploration ?? (online ? { floor: 0 } : undefined)
  const decider = createDecider({
    fleet,
    deadlineMs: config.deadline_ms ?? DEFAULT_DEADLINE_MS,
    observers,
    onEncoderFailure: (error, router) => {
      encoders.failed(router)
      options.onWarning(`the encoder of ${router} failed`, error)
    },
    now,
    newId: options.newId ?? randomUUID,
    ...(exploration ? { explorer: createExplorer(exploration) } : {}),
    ...(online ? { online } : {}),
  })
  if (config.gateway) {
    const count = gatewayMetrics(metrics.registry, () => gateway?.breakers ?? new Map())
    const priced = await withPrices(config.gateway)
    const approvals = config.gateway.require_approval
    const ofPolicies = policyHooks({ audit, approvals, onWarning: options.onWarning })
    const keys = config.keys?.map(({ name }) => name)
    const spending = parts.use(
      openBudgets({
        models: priced.models,
        budgets: priced.budgets ?? [],
        allowHosts: priced.allow_hosts,
        keys: keys && keys.length > 0 ? keys : undefined,
        folder: spendFolderOf(priced, config.log),
        primary: options.primary,
        owner: options.logOwner ?? String(process.pid),
        registry: metrics.registry,
        now,
        onWarning: options.onWarning,
      }),
    )
    budgets = spending
    const ofBudgets = budgetHooks(spending, priced.budgets ?? [])
    const live = await openGatewayPolicies(priced, {
      decider,
      fleet,
      draws: exploration !== undefined || online !== undefined,
      makeEncoder: options.makeEncoder ?? namedEncoder,
      limits: [(model, _, { request }) => closedByBudget(spending, model, request)],
      hooks: joinHooks(ofBudgets, joinHooks(ofPolicies, options.policyHooks ?? {})),
      onWarning: options.onWarning,
      now,
    })
    if (live) parts.use(live)
    policies = live
    assertBudgetRoutes(priced.budgets ?? [], live ? ofBudgets.routes : LEARNED_POLICY_STEPS)
    const byPolicy = live ? [policyMetrics(metrics.registry, () => live.status)] : []
    const opened = await openGateway(priced, {
      fleet,
      decider,
      environment: options.environment ?? process.env,
      observers: [...servedObservers, count, ...byPolicy, spendObserver(spending)],
      budgets: spending,
      ...(live ? { policy: () => live } : {}),
      strategies: createStrategies(),
      now,
      seed: randomInt(2 ** 31),
    })
    gateway = parts.use(opened)
  }
  const rateLimit: RateLimiter = options.primary
    ? parts.use(new LeasedRateLimit(options.primary))
    : new RateLimit()
  return {
    fleet,
    decider,
    gateway,
    budgets,
    policies,
    bundleAudit: ofBundles,
    gate,
    encoders,
    rateLimit,
    ratePerMinute: config.rate_per_minute,
    keys: config.keys && config.keys.length > 0 ? createKeyRing(config.keys) : undefined,
    log,
    feedback,
    alarms,
    online,
    metrics,
    now,
    onBug: options.onBug,
    close: () => parts.close(),
  }
}

async function namedEncoder(name: string): Promise<Encoder> {
  const { makeNamedEncoder } = await import('../../models/encoders/registry.ts')
  return (await makeNamedEncoder(name)).encoder
}

type LogConfig = NonNullable<ServeConfig['log']>
type LogHolds = Pick<LogContents, 'text' | 'embedding' | 'metadata'>

/** What lines of the decision log hold beside the prompt's hash: as configured, by default nothing. */
const logHolds = ({ text = 'none', embedding = false, metadata }: LogConfig): LogHolds => ({
  text,
  embedding,
  ...(metadata ? { metadata: true } : {}),
})

/** @throws config_invalid where embeddings are to be kept that a router does not have; what the disk says */
function openLog(
  config: LogConfig,
  routers: ReadonlyMap<string, LiveRouter>,
  options: {
    readonly onWarning: (message: string, error?: unknown) => void
    /** names this process among several that write one log */
    readonly logOwner?: string
  },
): Promise<LogWriter> {
  const { folder, sync_ms, segment_mb } = config
  const holds = logHolds(config)
  for (const [name, live] of routers) {
    if (!holds.embedding || live.router.manifest.encoder.output === 'dense') continue
    throw new WeirError('config_invalid', {
      where: 'log.embedding',
      expected: `routers with dense embeddings (log.text keeps what makes sparse ones)`,
      got: name,
    })
  }
  return openLogWriter({
    folder,
    header: holds,
    ...(sync_ms === undefined ? {} : { syncMs: sync_ms }),
    ...(segment_mb === undefined ? {} : { segmentBytes: segment_mb * 2 ** 20 }),
    ...(options.logOwner === undefined ? {} : { owner: options.logOwner }),
    onHealth: (failure) =>
      options.onWarning(
        failure ? 'the decision log cannot be written' : 'the decision log is written again',
        failure,
      ),
  })
}
