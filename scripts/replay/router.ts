import { WeirError } from '../../core/errors.ts'
import type { ChoiceRule } from '../../models/bundle/choice-rule.ts'
import type { Decision, DecisionCandidate, RouteRequest } from '../../models/decision/decision.ts'
import { cacheFolder } from '../../models/encoders/cache.ts'
import { routerName } from '../../serving/gateway/learned-policy.ts'
import type { CheckedPolicy } from '../../serving/policy/check.ts'
import type { LearnedRouter } from '../../serving/policy/learned-router.ts'
import {
  EncoderPool,
  openTextReaders,
  type TextReaders,
} from '../../serving/policy/text-readers.ts'
import { type LoggedRequest, loggedText } from './rows.ts'

/** A router's score of one request, as logged or recomputed. */
export interface KnownScore {
  readonly router: string
  readonly version: string
  readonly winRate: number
  readonly threshold: number
  readonly strong: string
  readonly weak: string
  /** expected quality by model, if a rule chose among several, and that rule */
  readonly scores?: Readonly<Record<string, number>> | undefined
  readonly choice?: ChoiceRule | undefined
}

/** A router that answers from a log: `take` sets the request for the following calls. */
export interface LoggedRouter extends LearnedRouter {
  take(logged: LoggedRequest): void
  /** the last request was routed, and its win rate is unknown */
  readonly unknown: boolean
}

/** A router that answers from known scores. @param scores by request id */
export function loggedRouter(
  scores: ReadonlyMap<string, KnownScore>,
  requests: readonly LoggedRequest[] = [],
): LoggedRouter {
  let current: LoggedRequest | undefined
  let unknown = false
  const known = new Set([...scores.values()].map(({ router }) => router))
  // the aliases and splits in the requests resolved to routers
  for (const { gateway, decision } of requests) {
    const name = gateway && decision && routerName(gateway.asked)
    if (name !== undefined) known.add(name)
  }
  return {
    take(logged) {
      current = logged
      unknown = false
    },
    get unknown() {
      return unknown
    },
    has: (router) => known.has(router),
    remote: () => false,
    route(request) {
      const score = current && scores.get(current.id)
      if (!score) {
        unknown = true
        throw new WeirError('candidates_empty', { models: request.models, known: [] })
      }
      return decided(current!, score, request)
    },
  }
}

/** The logged choice if its threshold is unchanged; else the pair's model by the new threshold. */
function decided(logged: LoggedRequest, score: KnownScore, request: RouteRequest): Decision {
  const { winRate, strong, weak, router, version, scores = {} } = score
  const threshold = request.threshold ?? score.threshold
  const own = logged.decision
  const same = own && own.version === version && own.threshold === threshold
  const reached = winRate >= threshold
  const wanted = same && own ? own.model : reached ? strong : weak
  // a request with a threshold asks about the pair
  const choice = request.threshold === undefined ? score.choice : undefined
  const others = [
    ...(own && same ? [own.model] : []),
    ...(choice ? Object.keys(scores).sort((a, b) => scores[b]! - scores[a]!) : []),
    ...(reached ? [strong, weak] : [weak, strong]),
  ]
  const order = [wanted, ...others.filter((model) => model !== wanted)]
  const allowed = (model: string): boolean => request.models?.includes(model) ?? true
  const ranked = [...new Set(order)].sort((a, b) => Number(allowed(b)) - Number(allowed(a)))
  if (!allowed(ranked[0]!)) {
    throw new WeirError('candidates_empty', { models: request.models, known: ranked })
  }
  const candidates = ranked.map(
    (model, i): DecisionCandidate => ({
      model,
      score: choice ? (scores[model] ?? 0) : model === strong ? winRate : 1 - winRate,
      eligible: allowed(model),
      reason: i === 0 ? 'chosen' : 'next',
      est_cost_usd: null,
      propensity: i === 0 ? 1 : 0,
    }),
  )
  return {
    id: own?.id ?? logged.id,
    object: 'routing.decision',
    created: Math.floor((logged.gateway?.time ?? own?.time ?? 0) / 1000),
    router: { name: router, version },
    model: ranked[0]!,
    win_rate: winRate,
    threshold,
    calibrated: false,
    candidates,
    ...(choice ? { choice } : {}),
    reason:
      same && own.model === ranked[0]
        ? own.reason
        : reached
          ? 'win_rate_reached'
          : 'win_rate_below',
    fallback: false,
    fallback_reason: null,
    propensity: 1,
    timing_ms: 0,
    truncated: false,
  }
}

/** The win rates in the log, each with the pair of its router. */
export function loggedScores(requests: readonly LoggedRequest[]): Map<string, KnownScore> {
  const pairs = new Map<string, { strong?: string; weak?: string }>()
  for (const { decision, gateway } of requests) {
    if (!decision) continue
    const pair = pairs.get(decision.router) ?? {}
    pairs.set(decision.router, pair)
    const reached = decision.reason === 'win_rate_reached'
    if (!reached && decision.reason !== 'win_rate_below') continue
    const other = gateway?.step === 'learned' ? gateway.targets[1] : undefined
    if (reached) {
      pair.strong = decision.model
      if (other !== undefined) pair.weak ??= other
    } else {
      pair.weak = decision.model
      if (other !== undefined) pair.strong ??= other
    }
  }
  const scores = new Map<string, KnownScore>()
  for (const { id, decision } of requests) {
    if (!decision || decision.win_rate === null) continue
    const { router, version, threshold, win_rate: winRate, model, scores: qualities } = decision
    const choice = decision.choice as ChoiceRule | undefined
    const { strong = model, weak = model } = pairs.get(router)!
    const its = { router, version, winRate, threshold, strong, weak }
    scores.set(id, choice ? { ...its, scores: qualities, choice } : its)
  }
  return scores
}

/** The part of a loaded bundle that a replay uses. */
export interface ScoringRouter {
  readonly manifest: {
    readonly name: string
    readonly version: string
    readonly threshold: { readonly value: number }
    readonly candidates: readonly { readonly model: string; readonly role: string }[]
  }
  score(prompts: readonly string[], signal?: AbortSignal): Promise<{ winRate: Float64Array }>
}

const CHUNK = 256

/**
 * Another bundle's scores for the requests whose text was logged.
 *
 * @throws log_needs if none was
 */
export async function bundleScores(
  requests: readonly LoggedRequest[],
  router: ScoringRouter,
  watch: {
    readonly path: string
    readonly text: string
    readonly signal?: AbortSignal
    readonly onProgress?: (done: number, total: number) => void
  },
): Promise<Map<string, KnownScore>> {
  const { name, version, threshold, candidates } = router.manifest
  const rows = requests.filter((each) => /\S/.test(loggedText(each) ?? ''))
  if (rows.length === 0 && requests.length > 0) {
    const what = `--bundle ${name}`
    const { path, text } = watch
    throw new WeirError('log_needs', { what, option: '--log-text full', path, got: text })
  }
  const model = (role: string): string => candidates.find((one) => one.role === role)!.model
  const [strong, weak] = [model('strong'), model('weak')]
  const scores = new Map<string, KnownScore>()
  for (let from = 0; from < rows.length; from += CHUNK) {
    watch.signal?.throwIfAborted()
    const part = rows.slice(from, from + CHUNK)
    const { winRate } = await router.score(
      part.map((each) => loggedText(each)!),
      watch.signal,
    )
    part.forEach(({ id }, i) => {
      const own = { router: name, version, winRate: winRate[i]!, threshold: threshold.value }
      scores.set(id, { ...own, strong, weak })
    })
    watch.onProgress?.(from + part.length, rows.length)
    await new Promise((resolve) => setImmediate(resolve)) // lets Ctrl-C in
  }
  return scores
}

/** Runs the work with the policy's language detector and semantic index, whose encoder is open during it. */
export async function withTextReaders<T>(
  policy: CheckedPolicy,
  work: (readers: TextReaders['readers']) => Promise<T>,
): Promise<T> {
  const encoders = new EncoderPool(async (name) => {
    const { makeNamedEncoder } = await import('../../models/encoders/registry.ts')
    return (await makeNamedEncoder(name, { cacheFolder: cacheFolder(process.env) })).encoder
  })
  const { readers, close } = await openTextReaders(policy, encoders)
  try {
    return await work(readers)
  } finally {
    await close()
  }
}
