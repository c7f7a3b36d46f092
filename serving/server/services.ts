import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import type { BytesHeld } from '../../core/bytes-held.ts'
import { type CloseStack, openOrClose } from '../../core/close-stack.ts'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { BodyText } from '../../core/json/large.ts'
import type { Encoder } from '../../models/encoders/encoder.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import type { FeedbackRecord, LogContents } from '../../records/decision-record.ts'
import { openFeedbackStore } from '../../records/feedback/open-store.ts'
import { segmentStore } from '../../records/feedback/segment-store.ts'
import { spooledStore, WAITING_FOLDER } from '../../records/feedback/spooled-store.ts'
import type { FeedbackStore } from '../../records/feedback/store.ts'
import { type LogWriter, openLogWriter } from '../../records/log-writer.ts'
import { isPostgresUrl } from '../../records/postgres.ts'
import { AlarmWatcher } from '../alarms/watcher.ts'
import { type AuditLog, type AuditWho, openAuditLog } from '../audit/audit-log.ts'
import { type BundleAudit, bundleAudit } from '../audit/bundle-audit.ts'
import { policyHooks } from '../audit/policy-hooks.ts'
import { type Budgets, openBudgets, spendFolderOf } from '../budgets/open.ts'
import { openSharedBudgets } from '../budgets/postgres-store.ts'
import { openSharedSpend } from '../budgets/shared-spend.ts'
import type { ServedObserver } from '../gateway/contracts.ts'
import type { RequestFacts } from '../gateway/error-body.ts'
import { tooSlowFor, unableTo } from '../gateway/failover.ts'
import { LEARNED_POLICY_STEPS } from '../gateway/learned-policy.ts'
import { gatewayMetrics } from '../gateway/metrics.ts'
import { type OpenGateway, openGateway, withPrices } from '../gateway/open-gateway.ts'
import { requestLog } from '../gateway/request-log.ts'
import { assertBudgetRoutes, closedByBudget, spendObserver } from '../gateway/spending.ts'
import { StoredIds } from '../gateway/stored-ids.ts'
import {
  assertShadowAnswers,
  ShadowAnswers,
  shadowAudit,
  shadowBudget,
} from '../judging/shadow-answers.ts'
import { weakSignals } from '../judging/weak-signals.ts'
import {
  budgetHooks,
  joinHooks,
  type LivePolicies,
  openGatewayPolicies,
  type PolicyHooks,
} from '../policy/live-policies.ts'
import { policyMetrics } from '../policy/metrics.ts'
import { type AddedStep, policySteps } from '../policy/registry.ts'
import { createExplorer } from '../router/choose.ts'
import { createDecider, type Decider } from '../router/decider.ts'
import { DecisionIds, idSecret } from '../router/decision-ids.ts'
import { EncoderHealth } from '../router/encoder-health.ts'
import { FeedbackGuard } from '../router/feedback-guard.ts'
import { createFleet, type Fleet } from '../router/fleet.ts'
import { createKeyRing, type KeyHolder, type KeyRing } from '../router/keys.ts'
import { OnlineLearner } from '../router/learner.ts'
import type { DecisionObserver } from '../router/observer.ts'
import { type StateSettings, stateSettings } from '../state/config.ts'
import { workersStore } from '../state/hot-store.ts'
import { LoadGate } from '../state/load-gate.ts'
import type { PrimaryChannel } from '../state/primary-channel.ts'
import { LeasedRateLimit, RateLimit, type RateLimiter } from '../state/rate-limit.ts'
import { openRedis, type RedisState } from '../state/redis.ts'
import { createStrategies } from '../strategies/strategies.ts'
import type { TraceScope, Tracing } from '../telemetry/tracing.ts'
import type { UpstreamKind } from '../upstreams/kinds.ts'
import { bodyMemory, DEFAULT_GATEWAY_BODY } from './bodies.ts'
import type { BrowserRules } from './browser-guard.ts'
import {
  assertServes,
  DEFAULT_DEADLINE_MS,
  DEFAULT_MAX_IN_FLIGHT,
  DEFAULT_MAX_LAG_MS,
  type ServeConfig,
} from './config.ts'
import { logObserver } from './decision-observers.ts'
import { createMetrics, type Metrics } from './metrics.ts'

/** Options of a server's services in addition to its configuration. */
export interface ServiceOptions {
  /** tests pass one with a fake encoder */
  readonly load?: (path: string) => Promise<Router>
  readonly now?: () => number
  readonly newId?: () => string
  /** further observers of decisions: a log line, a span */
  readonly observers?: readonly DecisionObserver[]
  readonly onBug: (error: unknown, request: RequestFacts) => void
  /** called with what operators should know: encoders that fail, a log that cannot be written */
  readonly onWarning: (message: string, error?: unknown) => void
  /** where keys of upstreams are looked up (default the process's environment) */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** further observers of the gateway's requests */
  readonly servedObservers?: readonly ServedObserver[]
  /** called with ratings of answers once they are stored; return at once, never throw */
  readonly ratingObservers?: readonly ((rating: FeedbackRecord) => void)[]
  /** creates the encoder of a policy's semantic routes from its name */
  readonly makeEncoder?: (name: string) => Promise<Encoder>
  /** policy steps besides the built-in ones */
  readonly policySteps?: readonly AddedStep[]
  /** further kinds of upstream that `gateway.upstreams` may name */
  readonly upstreamKinds?: readonly UpstreamKind[]
  /** notified of policies as they are loaded; may refuse them */
  readonly policyHooks?: PolicyHooks
  /** spans and metrics of OpenTelemetry; none if absent */
  readonly tracing?: Tracing
  /** name of the operator: what is loaded is then audited beside the decision log */
  readonly who?: AuditWho
  /** for a worker: the state that its primary keeps for all of them */
  readonly primary?: PrimaryChannel
}

/** What the endpoints work with; made by `openServices`. */
export interface Services {
  readonly fleet: Fleet
  readonly decider: Decider
  readonly gate: LoadGate
  readonly encoders: EncoderHealth
  readonly rateLimit: RateLimiter
  /** requests per minute of a client whose key has no other limit */
  readonly ratePerMinute: number | undefined
  readonly keys: KeyRing | undefined
  /** the web pages and host names that the configuration lists */
  readonly browsers: Omit<BrowserRules, 'open'>
  /** largest body of the gateway's endpoints, in bytes */
  readonly bodyLimit: number
  /** what all request bodies hold of the memory */
  readonly bodies: BytesHeld
  readonly log: LogWriter | undefined
  /** where feedback is stored: a separate store, else the log */
  readonly feedback: FeedbackStore | undefined
  /** Keeps a rating, then tells those who use it. @throws log_unavailable if there is nowhere to keep it */
  readonly rate: (rating: FeedbackRecord) => Promise<void>
  /** checks whether a key may rate a decision */
  readonly feedbackGuard: FeedbackGuard
  /** makes the ids of decisions and requests, and verifies their owners */
  readonly ids: DecisionIds
  /** makes the ids of answers that upstreams keep, and opens those of requests */
  readonly storedIds: StoredIds
  readonly alarms: AlarmWatcher | undefined
  readonly online: OnlineLearner | undefined
  readonly metrics: Metrics
  /** answers chats; absent if the configuration has no such section */
  readonly gateway: OpenGateway | undefined
  /** the gateway's spending and its limits */
  readonly budgets: Budgets | undefined
  /** how the gateway handles chats; absent if only the learned router decides */
  readonly policies: LivePolicies | undefined
  readonly bundleAudit: BundleAudit | undefined
  readonly tracing: Tracing | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
  /** called with internal errors; the client only learns that one happened */
  readonly onBug: (error: unknown, request: RequestFacts) => void
  /** Closes everything in reverse order of opening. */
  close(): Promise<void>
}

declare module 'fastify' {
  interface FastifyRequest {
    /** the caller: set before the body is read */
    caller: KeyHolder
    /** the trace that the request belongs to; undefined without tracing */
    traceScope: TraceScope | undefined
    /** the body as received */
    bodyText: BodyText
  }
}

/** How soon an online state that was reverted on disk is reverted here. */
const FOLLOW_MS = 2000

/**
 * Everything a server works with, including its routers. If opening fails, what was already opened is closed
 * again.
 *
 * @throws if configuration or bundles are faulty
 */
export const openServices = (config: ServeConfig, options: ServiceOptions): Promise<Services> =>
  openOrClose((opened) => openAll(config, options, opened))

async function openAll(
  config: ServeConfig,
  options: ServiceOptions,
  opened: CloseStack,
): Promise<Services> {
  const { onWarning, now = Date.now } = options
  assertServes(config)
  const encoderAccess = {
    connections: config.encoders,
    allowHosts: config.allow_encoder_hosts,
    keyEnv: config.encoder_key_env,
  }
  const signers = config.require_signature
  const gate = opened.use(
    new LoadGate({
      maxInFlight: config.max_in_flight ?? DEFAULT_MAX_IN_FLIGHT,
      maxLagMs: config.max_lag_ms ?? DEFAULT_MAX_LAG_MS,
    }),
  )
  const state = stateSettings(config.state)
  const own = options.primary ? opened.use(new LeasedRateLimit(options.primary)) : new RateLimit()
  const hot =
    state.redis === undefined
      ? undefined
      : opened.use(await openRedis({ ...state, url: state.redis, own, onWarning }))
  let log: LogWriter | undefined
  // closed after the routers: an embedding may still be about to be logged
  opened.add(() => log?.close())
  const fleet = opened.use(
    createFleet(config, {
      load:
        options.load ?? ((path) => loadRouter(path, { encoderAccess, signers, ood: config.ood })),
      onWarning,
      ...definedOnly({ environment: options.environment }),
    }),
  )
  const encoders = new EncoderHealth(now)
  const metrics = await createMetrics({
    snapshot: () => fleet.snapshot,
    inFlight: () => gate.inFlight,
    lagMs: () => gate.lagMs,
    log: () => log,
  })
  const loaded = await fleet.reload()
  const auditPlace = state.postgres ?? config.log?.folder
  const audit =
    auditPlace !== undefined && options.who
      ? await openAuditLog({
          place: auditPlace,
          who: options.who,
          now: () => new Date(now()),
        })
      : undefined
  const ofBundles = audit && bundleAudit(audit, onWarning)
  await ofBundles?.started(loaded.routers)
  const ids = new DecisionIds({
    secret: await idSecret(
      options.environment ?? process.env,
      config.log?.folder,
      // that several servers share
      state.postgres ?? config.store,
    ),
    now,
    newId: options.newId,
    log: config.log?.folder,
  })
  const { tracing } = options
  const observers = [...(options.observers ?? []), metrics.observe]
  if (tracing) observers.push(tracing.decided)
  const servedObservers = [...(options.servedObservers ?? [])]
  let feedback: FeedbackStore | undefined
  if (config.log) {
    const contents = logContents(config.log)
    log = await openLog(config.log, contents, fleet, options)
    observers.push(logObserver(log, contents))
    servedObservers.push(requestLog(log, contents))
    feedback = segmentStore(log, config.log.folder)
  }
  if (config.store) {
    const store = await openFeedbackStore(config.store)
    const folder = state.spool ?? (config.log && join(config.log.folder, WAITING_FOLDER))
    const { deadlineMs } = state
    // a folder of its own is on this machine's disk already
    feedback = opened.use(
      folder !== undefined && isPostgresUrl(config.store)
        ? await spooledStore(store, { folder, deadlineMs, onWarning })
        : store,
    )
  }
  const signals = config.gateway?.weak_signals
  if (signals) {
    if (!log) {
      throw new WeirError('config_invalid', {
        where: 'gateway.weak_signals',
        expected: 'log, where signals are kept',
        got: 'none',
      })
    }
    servedObservers.push(weakSignals({ config: signals, log, registry: metrics.registry }))
  }
  const alarms = config.alarms
    ? new AlarmWatcher({
        config: config.alarms,
        allowHosts: config.gateway?.allow_hosts,
        keys: config.keys?.length,
        fleet,
        now,
        onWarning,
      })
    : undefined
  if (alarms) {
    opened.add(() => alarms.settled())
    observers.push(alarms.observe)
    metrics.watch(alarms)
  }
  observers.push(({ decision }) => {
    if (decision.fallback_reason !== 'encoder_failed') encoders.worked(decision.router.name)
  })
  if (config.online && state.replicas > 1) {
    const got = `${state.replicas} replicas, which would each learn a head of their own`
    throw new WeirError('config_invalid', { where: 'online', expected: 'one server', got })
  }
  const online =
    config.online &&
    (await openOnline(config.online, config.keys?.length, feedback, fleet, onWarning, opened))
  // Thompson sampling turns choices as exploration does
  const exploration = config.exploration ?? (online ? { floor: 0 } : undefined)
  const decider = createDecider({
    fleet,
    deadlineMs: config.deadline_ms ?? DEFAULT_DEADLINE_MS,
    observers,
    onEncoderFailure: (error, router) => {
      encoders.failed(router)
      onWarning(`the encoder of ${router} failed`, error)
    },
    now,
    newId: (key) => ids.next(key),
    ...definedOnly({ explorer: exploration && createExplorer(exploration), online }),
  })
  const draws = exploration !== undefined
  const kept = feedback
  const rate = async (rating: FeedbackRecord): Promise<void> => {
    if (!kept) {
      throw new WeirError('log_unavailable', {
        reason: 'the server was started without --log or --store',
      })
    }
    await kept.record(rating)
    alarms?.feedback(rating)
    online?.feedback(rating)
    metrics.feedback()
    for (const observe of options.ratingObservers ?? []) observe(rating)
  }
  const chats =
    config.gateway &&
    (await openChats(config, config.gateway, options, opened, {
      ...{ fleet, decider, metrics, audit, servedObservers, draws, now, state, hot },
      record: kept && rate,
    }))
  const keys = config.keys && config.keys.length > 0 ? createKeyRing(config.keys) : undefined
  return {
    fleet,
    decider,
    gateway: chats?.gateway,
    budgets: chats?.budgets,
    policies: chats?.policies,
    bundleAudit: ofBundles,
    gate,
    encoders,
    rateLimit: hot?.rates ?? own,
    ratePerMinute: config.rate_per_minute,
    keys,
    browsers: { cors: config.cors, hosts: config.hosts },
    bodyLimit: config.gateway?.max_body_bytes ?? DEFAULT_GATEWAY_BODY,
    bodies: bodyMemory(config.max_body_bytes_in_flight),
    log,
    ids,
    storedIds: new StoredIds(keys && ids),
    feedback,
    rate,
    feedbackGuard: new FeedbackGuard(ids),
    alarms,
    online,
    metrics,
    tracing,
    now,
    onBug: options.onBug,
    close: () => opened.close(),
  }
}

/** The learner with the state of every router. @throws config_invalid if it can receive no feedback */
async function openOnline(
  config: NonNullable<ServeConfig['online']>,
  keys: number | undefined,
  feedback: FeedbackStore | undefined,
  fleet: Fleet,
  onWarning: ServiceOptions['onWarning'],
  opened: CloseStack,
): Promise<OnlineLearner> {
  if (!feedback) {
    throw new WeirError('config_invalid', {
      where: 'online',
      expected: 'log or store, where the feedback it learns from is kept',
      got: 'neither',
    })
  }
  const learner = opened.use(new OnlineLearner({ config, keys, onWarning }))
  for (const live of fleet.snapshot?.routers.values() ?? []) await learner.ready(live)
  const following = setInterval(() => void learner.follow(), FOLLOW_MS)
  following.unref()
  opened.add(() => clearInterval(following))
  return learner
}

/** What answers to chats are made with. */
interface ChatParts extends Pick<Services, 'fleet' | 'decider' | 'metrics' | 'now'> {
  readonly state: StateSettings
  readonly hot: RedisState | undefined
  readonly audit: AuditLog | undefined
  readonly servedObservers: readonly ServedObserver[]
  /** whether decisions may be drawn at random */
  readonly draws: boolean
  /** keeps feedback; undefined if there is nowhere to keep it */
  readonly record: ((rating: FeedbackRecord) => Promise<void>) | undefined
}

/** Budgets, policies and the gateway on top of them. */
async function openChats(
  config: ServeConfig,
  section: NonNullable<ServeConfig['gateway']>,
  options: ServiceOptions,
  opened: CloseStack,
  parts: ChatParts,
): Promise<Pick<Services, 'budgets' | 'policies'> & { readonly gateway: OpenGateway }> {
  const { onWarning } = options
  const { fleet, decider, metrics, state, now } = parts
  let gateway: OpenGateway | undefined
  const count = gatewayMetrics(metrics.registry, () => gateway?.breakers ?? new Map())
  const priced = await withPrices(section)
  const ofPolicies = policyHooks({
    audit: parts.audit,
    approvals: section.require_approval,
    onWarning,
  })
  const keys = config.keys?.map(({ name }) => name)
  const folder = spendFolderOf(priced, config.log)
  // the primary delivers what its workers write; closed after them, when all is written
  const delivery = options.primary ? undefined : openSharedSpend(state, folder, { now, onWarning })
  opened.add(() => delivery?.close())
  const shared = await openSharedBudgets(state, { allowHosts: priced.allow_hosts, now, onWarning })
  opened.add(() => shared?.close())
  const budgets = opened.use(
    openBudgets({
      shared,
      replicas: state.replicas,
      models: priced.models,
      budgets: priced.budgets ?? [],
      allowHosts: priced.allow_hosts,
      keys: keys && keys.length > 0 ? keys : undefined,
      folder,
      primary: options.primary,
      owner: String(process.pid),
      registry: metrics.registry,
      now,
      onWarning,
    }),
  )
  const ofBudgets = budgetHooks(budgets, priced.budgets ?? [])
  const policies = await openGatewayPolicies(priced, {
    decider,
    fleet,
    draws: parts.draws,
    makeEncoder: options.makeEncoder ?? namedEncoder,
    steps: policySteps(options.policySteps),
    limits: [(model, _, { request }) => closedByBudget(budgets, model, request)],
    known: [
      (model, _, { request }) => gateway && unableTo(gateway.dispatcher, model, request),
      (model, _, { request, goal }) =>
        gateway && tooSlowFor(gateway.dispatcher, model, request, goal),
    ],
    cacheOf: (model) => gateway?.dispatcher.models.get(model)?.cache,
    answerTokensOf: (model) => gateway?.dispatcher.answerTokens(model),
    priceOf: (model) => gateway?.dispatcher.models.get(model)?.price,
    // workers share what their primary keeps
    shared: parts.hot ?? (options.primary && workersStore(options.primary)),
    hooks: joinHooks(ofBudgets, joinHooks(ofPolicies, options.policyHooks ?? {})),
    onWarning,
    now,
  })
  if (policies) opened.use(policies)
  assertBudgetRoutes(priced.budgets ?? [], policies ? ofBudgets.routes : LEARNED_POLICY_STEPS)
  const byPolicy = policies ? [policyMetrics(metrics.registry, () => policies.status)] : []
  gateway = await openGateway(priced, {
    fleet,
    decider,
    environment: options.environment ?? process.env,
    observers: [...parts.servedObservers, count, ...byPolicy, spendObserver(budgets)],
    budgets,
    tracing: options.tracing,
    shared: parts.hot ?? (options.primary && workersStore(options.primary)),
    ...(policies ? { policy: () => policies } : {}),
    strategies: createStrategies(),
    upstreamKinds: options.upstreamKinds,
    now,
    seed: randomInt(2 ** 31),
  })
  const open = opened.use(gateway)
  const { shadow_answers: shadows } = priced
  if (!shadows) return { gateway: open, budgets, policies }
  assertShadowAnswers(shadows, priced.models)
  const { record } = parts
  if (!record) {
    throw new WeirError('config_invalid', {
      where: 'gateway.shadow_answers',
      expected: 'log or store, where its scores are kept as feedback',
      got: 'neither',
    })
  }
  budgets.declare('gateway.shadow_answers', [shadowBudget(shadows)])
  await parts.audit
    ?.record({ event: 'shadow_answers_on', why: 'start', ...shadowAudit(shadows) })
    .catch((error: unknown) => onWarning('the audit log cannot be written', error))
  const shadowing = opened.use(
    new ShadowAnswers({
      config: shadows,
      admits: policies?.admits?.bind(policies),
      budgets,
      record,
      registry: metrics.registry,
      random: Math.random,
      now,
      onWarning,
    }),
  )
  return { gateway: shadowing.over(open), budgets, policies }
}

async function namedEncoder(name: string): Promise<Encoder> {
  const { makeNamedEncoder } = await import('../../models/encoders/registry.ts')
  return (await makeNamedEncoder(name)).encoder
}

type LogConfig = NonNullable<ServeConfig['log']>

/** The fields of decision log lines besides the prompt's hash: as configured, by default none. */
const logContents = ({ text = 'none', embedding = false, metadata }: LogConfig): LogContents => ({
  text,
  embedding,
  ...(metadata ? { metadata: true } : {}),
})

/** @throws config_invalid if embeddings are to be logged that a router does not have; errors of the disk */
function openLog(
  { folder, sync_ms, segment_mb }: LogConfig,
  contents: LogContents,
  fleet: Fleet,
  { onWarning }: ServiceOptions,
): Promise<LogWriter> {
  for (const [name, live] of fleet.snapshot?.routers ?? []) {
    if (!contents.embedding || live.router.manifest.encoder.output === 'dense') continue
    throw new WeirError('config_invalid', {
      where: 'log.embedding',
      expected: 'routers with dense embeddings (log.text keeps what makes sparse ones)',
      got: name,
    })
  }
  return openLogWriter({
    folder,
    header: contents,
    ...definedOnly({
      syncMs: sync_ms,
      segmentBytes: segment_mb === undefined ? undefined : segment_mb * 2 ** 20,
    }),
    onHealth: (failure) =>
      onWarning(
        failure ? 'the decision log cannot be written' : 'the decision log is written again',
        failure,
      ),
  })
}
