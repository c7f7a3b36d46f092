import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { placeOf } from '../../core/hash.ts'
import type { Decision } from '../../models/decision/decision.ts'
import type { Encoder } from '../../models/encoders/encoder.ts'
import type { Budgets } from '../budgets/open.ts'
import type { BudgetSettings } from '../budgets/settings.ts'
import type { GatewayConfig } from '../gateway/config.ts'
import type {
  GatewayRequest,
  Plan,
  Planning,
  Policy,
  PolicyName,
  ServePlan,
} from '../gateway/contracts.ts'
import { assertBudgetRoutes } from '../gateway/spending.ts'
import type { Decider } from '../router/decider.ts'
import type { Fleet } from '../router/fleet.ts'
import type { HotStore } from '../state/hot-store.ts'
import { assertPolicyFits, type CheckedPolicy, checkPolicy } from './check.ts'
import type { PolicyFile } from './file.ts'
import { type FleetRouter, fleetRouter } from './learned-router.ts'
import type { ModelLimit } from './limits.ts'
import { createPolicy, type FilePolicy, type Preview } from './pipeline.ts'
import { POLICY_STEPS, type PolicySteps, spendingRoutes } from './registry.ts'
import { splitUnit } from './splits.ts'
import type { PolicyServices } from './step.ts'
import { EncoderPool, openTextReaders } from './text-readers.ts'

export interface LivePoliciesOptions extends VersionOptions {
  readonly sources: readonly PolicySource[]
  readonly hooks?: PolicyHooks | undefined
  /** milliseconds since 1970 */
  readonly now: () => number
}

/** A serving policy, as `POST /admin/reload` and the metrics show it. */
export interface PolicyStatus {
  readonly name: string
  readonly path: string
  readonly hash: string
  readonly share: number
  /** the hash of the text that it replaced in this reload */
  readonly replaced?: string
}

/** The policies of a server: one, or several that share the requests. Each serves its newest valid text. */
export interface LivePolicies extends Required<Policy> {
  readonly status: readonly PolicyStatus[]
  /** what a request may name: `weir`, then routes and models of the files */
  readonly names: readonly string[]
  /** what `x-weir-step`, logs and metrics may name */
  readonly stepNames: readonly string[]
  /** Reads every file again. If one is invalid, throws and keeps serving all the old ones. */
  reload(why: string): Promise<readonly PolicyStatus[]>
  /** What the policy that the request is assigned to would do with it. Changes nothing. */
  preview(
    request: GatewayRequest,
    signal: AbortSignal,
    decision?: Decision,
  ): Promise<Preview & { readonly policy: PolicyName }>
  /** What another text would do with it, if it served. @throws config_invalid with the line, and what making an encoder throws */
  previewText(
    text: string,
    request: GatewayRequest,
    signal: AbortSignal,
    decision?: Decision,
  ): Promise<Preview & { readonly policy: PolicyName }>
  /** The texts that serve, with the files that they were read from. */
  readonly texts: readonly (PolicyStatus & { readonly text: string })[]
  /** The files that differ from what is served, each with its hash and the approvals that may admit it. */
  changed(): Promise<string[]>
  close(): Promise<void>
}

/** @throws config_invalid, file_not_found, and what making an encoder throws */
export async function openPolicies(options: LivePoliciesOptions): Promise<LivePolicies> {
  const { sources, hooks, now } = options
  const total = sources.reduce((sum, { weight }) => sum + weight, 0)
  /** never mutated: a reload replaces the list */
  let arms: readonly Arm[] = []
  // one reload at a time: each starts from the result of the one before
  let turn: Promise<unknown> = Promise.resolve()

  const stage = async (source: PolicySource, why: string): Promise<Arm> => {
    const old = arms.find(({ name }) => name === source.name)
    const share = source.weight / total
    const checked = await readPolicy(source.path, options.steps)
    if (old && old.version.hash === checked.source.hash) {
      // the routers may have changed since it was loaded
      assertFits(checked, options)
      return old
    }
    const version = await PolicyVersion.open(checked, options)
    try {
      await hooks?.admit?.(candidateOf(source, version, old), why)
    } catch (error) {
      await version.retire()
      throw error
    }
    return { ...source, share, version }
  }

  const load = async (why: string): Promise<readonly PolicyStatus[]> => {
    const before = arms
    const staged: Arm[] = []
    for (const source of sources) {
      try {
        staged.push(await stage(source, why))
      } catch (thrown) {
        for (const arm of staged) if (!before.includes(arm)) await arm.version.retire()
        const error = thrown instanceof Error ? thrown : new Error(String(thrown))
        const { name, path } = source
        await hooks?.onPolicyRefused?.({ name, path, error, at: now(), why })
        throw error
      }
    }
    arms = staged
    for (const arm of staged) {
      if (before.includes(arm)) continue
      const old = before.find(({ name }) => name === arm.name)
      await old?.version.retire()
      await hooks?.onPolicyLoaded?.({ ...candidateOf(arm, arm.version, old), at: now(), why })
    }
    return staged.map((arm) => statusOf(arm, before))
  }

  const inTurn = (why: string): Promise<readonly PolicyStatus[]> => {
    const result = turn.then(() => load(why))
    turn = result.catch(() => {})
    return result
  }

  await inTurn('start')
  return {
    get status() {
      return arms.map((arm) => statusOf(arm, arms))
    },
    get names() {
      const files = arms.map(({ version }) => version.checked.file)
      const routes = files.flatMap(({ routes }) => Object.keys(routes ?? {}))
      const models = files.flatMap(({ models }) => Object.keys(models))
      return [...new Set(['weir', ...routes.map((name) => `weir/${name}`), ...models])]
    },
    stepNames: (options.steps ?? POLICY_STEPS).names,
    reload: inTurn,
    async changed() {
      const found = await Promise.all(
        arms.map(async ({ path, version }) => {
          const text = await readFile(path, 'utf8').catch(() => undefined)
          if (text === version.text) return []
          const hash = text && createHash('sha256').update(text).digest('hex')
          return [`${path} ${hash ?? 'is gone'}`]
        }),
      )
      const waiting = found.flat()
      if (waiting.length === 0 || !hooks?.admission) return waiting
      const admission = await hooks.admission()
      return admission === '' ? waiting : waiting.map((file) => `${file}, admitted by ${admission}`)
    },
    plan: (request, planning) => planOver(arms, request, planning),
    async preview(request, signal, decision) {
      const { name, version } = armOf(arms, request)
      const its = await version.using((policy) => policy.preview(request, signal, decision))
      return { ...its, policy: { name, hash: version.hash } }
    },
    async previewText(text, request, signal, decision) {
      const checked = checkPolicy(text, 'policy', options.steps)
      const version = await PolicyVersion.open(checked, options)
      try {
        const its = await version.using((policy) => policy.preview(request, signal, decision))
        return { ...its, policy: { name: 'edited', hash: version.hash } }
      } finally {
        await version.retire()
      }
    },
    get texts() {
      return arms.map((arm) => ({ ...statusOf(arm, arms), text: arm.version.text }))
    },
    async admits(request, planning) {
      const { name, version } = armOf(arms, request)
      const refusal = await version.using((its) => its.admits(request, planning))
      return refusal && { ...refusal, policy: { name, hash: version.hash } }
    },
    async close() {
      await turn
      for (const { version } of arms) await version.retire()
    },
  }
}

function candidateOf(
  { name, path }: PolicySource,
  { hash, text, checked }: PolicyVersion,
  old: Arm | undefined,
): PolicyCandidate {
  const before = { previousHash: old?.version.hash, previousText: old?.version.text }
  return { name, path, hash, text, checked, ...before }
}

function statusOf({ name, path, share, version }: Arm, before: readonly Arm[]): PolicyStatus {
  const old = before.find((arm) => arm.name === name)?.version.hash
  const replaced = old === undefined || old === version.hash ? {} : { replaced: old }
  return { name, path, hash: version.hash, share, ...replaced }
}

interface VersionOptions extends Omit<PolicyServices, 'learned' | 'semantic'> {
  readonly learned: FleetRouter
  /** names of `gateway.models` */
  readonly models: readonly string[]
  readonly encoders: EncoderPool
  /** default: the built-in steps */
  readonly steps?: PolicySteps | undefined
}

/**
 * One version of a policy file, in use. It is closed once it has been retired and no request uses it any
 * more, so that a request sees one policy from its beginning to its end.
 */
class PolicyVersion {
  readonly checked: CheckedPolicy
  readonly policy: FilePolicy
  readonly #close: () => Promise<void>
  #leases = 0
  #retired = false

  private constructor(checked: CheckedPolicy, policy: FilePolicy, close: () => Promise<void>) {
    this.checked = checked
    this.policy = policy
    this.#close = close
  }

  /** @throws config_invalid, and whatever making the encoder throws */
  static async open(checked: CheckedPolicy, options: VersionOptions): Promise<PolicyVersion> {
    assertFits(checked, options)
    const { readers, close } = await openTextReaders(checked, options.encoders)
    return new PolicyVersion(checked, createPolicy(checked, { ...options, ...readers }), close)
  }

  get hash(): string {
    return this.checked.source.hash
  }

  get text(): string {
    return this.checked.source.text
  }

  async using<T>(work: (policy: FilePolicy) => Promise<T>): Promise<T> {
    this.#leases++
    try {
      return await work(this.policy)
    } finally {
      this.#leases--
      if (this.#retired && this.#leases === 0) void this.#close()
    }
  }

  /** Closes it, at once if no request uses it, else after the last one. */
  async retire(): Promise<void> {
    if (this.#retired) return
    this.#retired = true
    if (this.#leases === 0) await this.#close()
  }
}

/** Checks a policy against the served models and routers. @throws config_invalid */
function assertFits(
  checked: CheckedPolicy,
  { models, learned }: Pick<VersionOptions, 'models' | 'learned'>,
): void {
  assertPolicyFits(checked, { models, pairs: learned.pairs(checked.file.learned?.router) })
}

/** @throws file_not_found, config_invalid with file and line */
export async function readPolicy(path: string, steps?: PolicySteps): Promise<CheckedPolicy> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  return checkPolicy(text, path, steps)
}

interface PolicySource {
  readonly name: string
  readonly path: string
  /** its share of the requests is this over the sum of all weights */
  readonly weight: number
}

/** One of the policies that share the requests; the shares of all add up to 1. */
interface Arm extends PolicySource {
  readonly share: number
  readonly version: PolicyVersion
}

/** The plan by the policy that the request is assigned to, with its propensity over all policies. */
async function planOver(
  arms: readonly Arm[],
  request: GatewayRequest,
  planning: Planning,
): Promise<Plan> {
  const own = armOf(arms, request)
  const { name, version } = own
  const policy = { name, hash: version.hash }
  const plan = await version.using((its) => its.plan(request, planning))
  if (plan.kind === 'refuse' || arms.length === 1) return { ...plan, policy }
  return {
    ...plan,
    policy,
    propensity: await propensityOf(plan, own, arms, request, planning.signal),
  }
}

/**
 * The probability of the plan's first model over all policies, as far as it can be known without asking a
 * model.
 */
async function propensityOf(
  plan: ServePlan,
  own: Arm,
  arms: readonly Arm[],
  request: GatewayRequest,
  signal: AbortSignal,
): Promise<number> {
  const { model } = plan.targets[0]!
  let propensity = own.share * plan.propensity
  for (const { share, version } of arms) {
    if (version === own.version) continue
    const others = await version.using((its) =>
      its.propensities(request, signal).catch((error: unknown) => {
        // the other policy would have refused a name that it does not know
        if (error instanceof WeirError) return undefined
        throw error
      }),
    )
    signal.throwIfAborted()
    propensity += share * (others?.get(model) ?? 0)
  }
  return propensity
}

/** Assigns a request to a policy: by its session, else its key, else its id, always to the same one. */
function armOf(arms: readonly Arm[], request: GatewayRequest): Arm {
  if (arms.length === 1) return arms[0]!
  let at = placeOf('policies', splitUnit(request))
  for (const arm of arms) {
    if (at < arm.share) return arm
    at -= arm.share
  }
  return arms.at(-1)!
}

/** A policy file that was read and is valid, before it serves. */
export interface PolicyCandidate {
  /** of `gateway.policies`, else the file's name without its ending */
  readonly name: string
  readonly path: string
  /** SHA-256 of the text, its first 12 hex digits */
  readonly hash: string
  readonly text: string
  readonly checked: CheckedPolicy
  /** of the policy that serves until now; undefined at the start */
  readonly previousHash: string | undefined
  readonly previousText: string | undefined
}

/** A policy that has begun to serve. */
export interface PolicyLoaded extends PolicyCandidate {
  /** milliseconds since 1970 */
  readonly at: number
  /** what made it load: `start`, `SIGHUP`, `admin`, `a policy changed` */
  readonly why: string
}

/** A policy that was refused; the one before it keeps serving. */
export interface PolicyRefused {
  readonly name: string
  readonly path: string
  readonly error: Error
  readonly at: number
  readonly why: string
}

/** Called when policies are loaded, and may refuse them. With `--workers`, called in every worker. */
export interface PolicyHooks {
  /** Called before a policy serves. @throws WeirError to refuse it, such as for a missing approval */
  admit?(candidate: PolicyCandidate, why: string): void | Promise<void>
  /** The state that `admit` depends on beside the text. When it changes, a refused policy is tried again. */
  admission?(): Promise<string>
  onPolicyLoaded?(loaded: PolicyLoaded): void | Promise<void>
  onPolicyRefused?(refused: PolicyRefused): void | Promise<void>
}

/** Calls both; either may refuse. */
export function joinHooks(first: PolicyHooks, second: PolicyHooks): PolicyHooks {
  return {
    async admit(candidate, why) {
      await first.admit?.(candidate, why)
      await second.admit?.(candidate, why)
    },
    async admission() {
      return `${(await first.admission?.()) ?? ''} ${(await second.admission?.()) ?? ''}`.trim()
    },
    async onPolicyLoaded(loaded) {
      await first.onPolicyLoaded?.(loaded)
      await second.onPolicyLoaded?.(loaded)
    },
    async onPolicyRefused(refused) {
      await first.onPolicyRefused?.(refused)
      await second.onPolicyRefused?.(refused)
    },
  }
}

export interface BudgetHooks extends PolicyHooks {
  /** the names that spending is counted under with the policies that serve now */
  readonly routes: readonly string[]
}

/**
 * Declares the budgets of policies as they are loaded. A policy that removes a route counted by one of the
 * server's budgets is refused.
 *
 * @param ofServer `gateway.budgets`
 */
export function budgetHooks(
  budgets: Pick<Budgets, 'check' | 'declare'>,
  ofServer: readonly BudgetSettings[],
): BudgetHooks {
  const routes = new Map<string, readonly string[]>()
  return {
    get routes() {
      return [...routes.values()].flat()
    },
    admit(candidate) {
      const { name, checked } = candidate
      budgets.check(...declarationOf(name, checked.file))
      // at the start later policies are not known yet: their opener checks all of them
      if (candidate.previousHash === undefined) return
      const next = new Map(routes).set(name, spendingRoutes(checked))
      assertBudgetRoutes(ofServer, [...next.values()].flat())
    },
    onPolicyLoaded({ name, checked }) {
      routes.set(name, spendingRoutes(checked))
      budgets.declare(...declarationOf(name, checked.file))
    },
  }
}

/** The parts of a policy file that budgets need: its budgets, and the tiers of keys by name. */
function declarationOf(name: string, file: PolicyFile): Parameters<Budgets['declare']> {
  const tiers = Object.entries(file.keys ?? {}).flatMap(([key, { tier }]) =>
    tier === undefined ? [] : [[key, tier] as const],
  )
  return [`policy ${name}: budgets`, file.budgets ?? [], Object.fromEntries(tiers)]
}

export interface GatewayPolicyOptions {
  readonly decider: Decider
  readonly fleet: Fleet
  /** whether exploration or an online head makes random draws */
  readonly draws: boolean
  /** as in `weir train --encoder`, for semantic routes */
  readonly makeEncoder: (name: string) => Promise<Encoder>
  readonly limits?: readonly ModelLimit[]
  readonly known?: readonly ModelLimit[] | undefined
  /** what several servers share */
  readonly shared?: HotStore | undefined
  readonly priceOf?: PolicyServices['priceOf']
  readonly cacheOf?: PolicyServices['cacheOf']
  readonly answerTokensOf?: PolicyServices['answerTokensOf']
  /** default: the built-in steps */
  readonly steps?: PolicySteps | undefined
  readonly hooks?: PolicyHooks | undefined
  readonly onWarning: (message: string, error?: unknown) => void
  readonly now: () => number
}

/**
 * The policies of a gateway's configuration; undefined if it names none. @throws config_invalid,
 * file_not_found
 */
export async function openGatewayPolicies(
  config: GatewayConfig,
  options: GatewayPolicyOptions,
): Promise<LivePolicies | undefined> {
  const sources = policySources(config)
  if (sources.length === 0) return undefined
  const { limits, known, shared, priceOf, cacheOf, answerTokensOf } = options
  const { steps, hooks, onWarning, now } = options
  return openPolicies({
    sources,
    models: Object.keys(config.models),
    learned: fleetRouter(options),
    encoders: new EncoderPool(options.makeEncoder),
    limits,
    known,
    shared,
    priceOf,
    cacheOf,
    answerTokensOf,
    steps,
    allowDown: config.allow_down,
    hedgeAfterMs: config.hedge_after_ms,
    hooks,
    onWarning,
    now,
  })
}

function policySources({ policy, policies = [] }: GatewayConfig): readonly PolicySource[] {
  const invalid = (expected: string, got: string): WeirError =>
    new WeirError('config_invalid', { where: 'gateway.policies', expected, got })
  if (policy !== undefined) {
    if (policies.length > 0) throw invalid('either policy or policies', 'both')
    return [{ name: basename(policy, extname(policy)), path: policy, weight: 1 }]
  }
  const names = policies.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice !== undefined) throw invalid('a name of its own for each', `${twice} twice`)
  return policies
}
