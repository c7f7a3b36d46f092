import { WeirError } from '../../core/errors.ts'
import { promptHash } from '../../core/hash.ts'
import { takingTurns } from '../../core/turns.ts'
import { decide } from '../../models/decision/decide.ts'
import type { Decision, Explanation, RouteRequest } from '../../models/decision/decision.ts'
import { requestText } from '../../models/decision/route-request.ts'
import { promptCharacters } from '../../models/reading/recipe.ts'
import { type DeclaredContext, pickContext } from '../../models/reading/transcript.ts'
import { explained } from '../../models/router.ts'
import { chooseArm, createChooser, type DecideBy, type Explorer } from './choose.ts'
import { DeadlineQueue } from './deadline.ts'
import type { Fleet } from './fleet.ts'
import type { OnlineLearner } from './learner.ts'
import type { LiveRouter } from './live-router.ts'
import type { DecisionObserver } from './observer.ts'
import { ruleHits } from './rule-hits.ts'
import { type OnEncoderFailure, type Scored, scoreBatch, scorePrompt } from './scoring.ts'
import type { Prepared } from './snapshot.ts'
import { resolveTarget, type Target } from './snapshot.ts'

export interface DeciderOptions {
  readonly fleet: Fleet
  readonly deadlineMs: number
  readonly observers: readonly DecisionObserver[]
  readonly onEncoderFailure: OnEncoderFailure
  /** milliseconds since 1970 */
  readonly now: () => number
  /** @param key name of the caller's API key */
  readonly newId: (key: string) => string
  readonly explorer?: Explorer
  readonly online?: OnlineLearner
}

/** The caller, as far as routing needs to know. */
export interface Caller {
  /** name of the API key */
  readonly name?: string
  /** the routers the key may use; any if absent */
  readonly routers?: ReadonlySet<string>
  /** declared context of all its requests */
  readonly context?: DeclaredContext
}

export interface Decider {
  /**
   * Returns the decision without a promise if nothing must be awaited: a promise costs a tenth of a decision.
   *
   * @throws if the request is invalid (or rejects); never for a slow or failing encoder
   */
  route(request: RouteRequest, caller: Caller): Promise<Decision> | Decision
  /** What would be decided without exploration, explained. Nothing is logged or counted, and no shadow decides. */
  preview(request: RouteRequest, caller: Caller): Promise<Decision>
  /** Each request's decision or error, in order; prompts are encoded together. */
  routeBatch(
    requests: readonly (RouteRequest | WeirError)[],
    caller: Caller,
  ): Promise<(Decision | WeirError)[]>
}

export function createDecider(options: DeciderOptions): Decider {
  const { fleet, observers, now, newId, onEncoderFailure, explorer, online } = options
  const deadlines = new DeadlineQueue(options.deadlineMs)
  const score = (live: LiveRouter, { text, hash }: Prepared): Promise<Scored> | Scored =>
    scorePrompt(live, text, hash, deadlines, onEncoderFailure)

  /** Keeps every version it may need open until `release`. */
  const prepare = (asked: RouteRequest, caller: Caller): Prepared => {
    const started = performance.now()
    const { snapshot } = fleet
    if (!snapshot) throw new WeirError('server_not_ready')
    const target = resolveTarget(snapshot, asked.router)
    if (caller.routers && !caller.routers.has(target.name)) {
      throw new WeirError('router_forbidden', { router: target.name }, { param: 'router' })
    }
    const text = requestText(asked, declared(asked.metadata, target.context, caller.context))
    const request =
      target.threshold === undefined || asked.threshold !== undefined
        ? asked
        : { ...asked, threshold: target.threshold }
    const id = newId(caller.name ?? '')
    const { live } = chooseArm(target, request.session_id ?? id)
    for (const arm of target.arms) arm.live.acquire()
    for (const shadow of target.shadows) shadow.acquire()
    return { asked, request, id, text, hash: promptHash(text), target, live, started }
  }
  const release = ({ target }: Prepared): void => {
    for (const arm of target.arms) arm.live.release()
  }

  const decideBy: DecideBy = (live, prepared, scored, propensities, explored) =>
    decide({
      manifest: live.router.manifest,
      winRate: scored.advice?.winRate ?? scored.winRate,
      quality: scored.quality,
      request: scored.advice
        ? { ...prepared.request, threshold: scored.advice.threshold }
        : prepared.request,
      corrected: scored.advice !== undefined && scored.advice.winRate !== scored.winRate,
      promptCharacters: promptCharacters(prepared.text),
      truncated: scored.truncated,
      ood: scored.ood,
      hash: prepared.hash,
      id: prepared.id,
      now: now(),
      elapsedMs: Math.round((performance.now() - prepared.started) * 1000) / 1000,
      fallbackReason: scored.fallbackReason,
      propensities,
      explored,
      audit: explorer?.audits(prepared.id),
    })

  const observe = (
    live: LiveRouter,
    prepared: Prepared,
    scored: Scored,
    decision: Decision,
    shadow: boolean,
  ): void => {
    const event = {
      decision,
      request: prepared.request,
      text: prepared.text,
      hash: prepared.hash,
      live,
      cache: scored.cache,
      seconds: decision.timing_ms / 1000,
      time: now(),
      shadow,
      baseWinRate: online && !shadow ? scored.winRate : undefined,
    }
    for (const observer of observers) observer(event)
  }

  const choose = createChooser({ decideBy, score, deadlines, explorer, online })

  const finish = async (prepared: Prepared, scored: Scored): Promise<Decision> => {
    const { live, request } = prepared
    const decision = await choose(prepared, scored)
    observe(live, prepared, scored, decision, false)
    return request.explain ? explain(prepared, scored, decision) : decision
  }

  const explain = async (
    { live, text, asked, target }: Prepared,
    scored: Scored,
    decision: Decision,
  ): Promise<Decision> => {
    const rules = ruleHits({
      decision,
      request: asked,
      target,
      scored,
      threshold: live.router.manifest.threshold.value,
      explores: explorer !== undefined,
      online: online !== undefined,
    })
    return explained(decision, { ...(await explanation(live, text)), rules })
  }

  const finishLater = async (
    prepared: Prepared,
    scored: Promise<Scored> | Scored,
  ): Promise<Decision> => {
    try {
      return await finish(prepared, await scored)
    } finally {
      letGo(prepared)
    }
  }

  const letGo = (prepared: Prepared): void => {
    release(prepared)
    for (const live of prepared.target.shadows) runShadow(live, prepared)
  }

  /** Runs after the answer; an encoder failure in a shadow is reported like any other. */
  const runShadow = (live: LiveRouter, prepared: Prepared): void => {
    setImmediate(async () => {
      try {
        const started = { ...prepared, started: performance.now() }
        const scored = await score(live, started)
        observe(live, started, scored, decideBy(live, started, scored), true)
      } catch (error) {
        // a request that was refused is refused by its shadows as well
        if (!(error instanceof WeirError && error.status < 500)) {
          onEncoderFailure(error, live.router.manifest.name)
        }
      } finally {
        live.release()
      }
    })
  }

  return {
    route(request, caller) {
      const prepared = prepare(request, caller)
      let later: Promise<Decision> | undefined
      try {
        const { live, target } = prepared
        const scored = score(live, prepared)
        if (scored instanceof Promise || explorer || request.explain || target.arms.length > 1) {
          later = finishLater(prepared, scored)
          return later
        }
        const decision = decideBy(live, prepared, scored)
        observe(live, prepared, scored, decision, false)
        return decision
      } finally {
        if (!later) letGo(prepared)
      }
    },
    async preview(request, caller) {
      const prepared = prepare(request, caller)
      try {
        const scored = await score(prepared.live, prepared)
        return await explain(prepared, scored, decideBy(prepared.live, prepared, scored))
      } finally {
        release(prepared)
        for (const shadow of prepared.target.shadows) shadow.release()
      }
    },
    routeBatch: (requests, caller) =>
      decideBatch(requests, {
        prepare: (request) => prepare(request, caller),
        score: (live, group) =>
          scoreBatch(
            live,
            group.map((item) => item.text),
            group.map((item) => item.hash),
            onEncoderFailure,
          ),
        finish,
        letGo,
      }),
  }
}

/**
 * The declared context that the target's routers read of a request: what its metadata says of the open keys, and
 * what its API key says of any.
 */
function declared(
  metadata: RouteRequest['metadata'],
  { all, open }: Target['context'],
  own: DeclaredContext | undefined,
): DeclaredContext | undefined {
  if (all.length === 0) return undefined
  const said = pickContext(metadata, open)
  return own ? { ...said, ...pickContext(own, all) } : said
}

/** A decision remains valid if it cannot be explained. */
async function explanation(live: LiveRouter, text: string): Promise<Explanation> {
  try {
    return await live.router.explain(text)
  } catch (error) {
    return { features: [], note: knownError(error).message }
  }
}

/** How the requests of a batch are answered. */
interface BatchSteps<T> {
  /** keeps the versions it may need open until released; throws if the request is invalid */
  prepare(request: RouteRequest): T
  /** prompts for one version, encoded together, in order */
  score(live: LiveRouter, group: readonly T[]): Promise<readonly Scored[]>
  finish(prepared: T, scored: Scored): Promise<Decision>
  letGo(prepared: T): void
}

/** Characters of a batch's texts that are read, or decided and logged, before other requests get a turn. */
const BATCH_CHARACTERS = 128 * 1024

/** Each request's decision or error, in order. */
async function decideBatch<T extends { readonly live: LiveRouter; readonly text: string }>(
  requests: readonly (RouteRequest | WeirError)[],
  { prepare, score, finish, letGo }: BatchSteps<T>,
): Promise<(Decision | WeirError)[]> {
  const prepared: (T | WeirError)[] = []
  const groups = new Map<LiveRouter, T[]>()
  const decisions = new Map<T, Decision | WeirError>()
  const turn = takingTurns(BATCH_CHARACTERS)
  try {
    for (const request of requests) {
      const item = request instanceof WeirError ? request : attempt(() => prepare(request))
      prepared.push(item)
      if (item instanceof WeirError) continue
      const group = groups.get(item.live)
      if (group) group.push(item)
      else groups.set(item.live, [item])
      await turn(item.text.length)
    }
    for (const [live, group] of groups) {
      const scored = await score(live, group)
      for (const [i, item] of group.entries()) {
        decisions.set(item, await finish(item, scored[i]!).catch(knownError))
        await turn(item.text.length)
      }
    }
  } finally {
    for (const item of prepared) {
      if (!(item instanceof WeirError)) letGo(item)
    }
  }
  return prepared.map((item) => (item instanceof WeirError ? item : decisions.get(item)!))
}

function attempt<T>(work: () => T): T | WeirError {
  try {
    return work()
  } catch (error) {
    return knownError(error)
  }
}

/** An error that a client may see; anything else is a bug and is rethrown. */
function knownError(error: unknown): WeirError {
  if (error instanceof WeirError) return error
  throw error
}
