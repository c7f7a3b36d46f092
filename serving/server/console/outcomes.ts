import { RecentMap } from '../../../core/bounded-map.ts'
import { RunningMean } from '../../../core/stats/running-mean.ts'
import type { FeedbackRecord } from '../../../records/decision-record.ts'
import { SPEND_GROUPS, type SpendGroup } from '../../budgets/spend.ts'
import type { Served, ServedObserver } from '../../gateway/contracts.ts'
import { routeOf } from '../../gateway/spending.ts'
import type { DecisionObserver } from '../../router/observer.ts'

/** Decisions that are remembered until they are rated. */
const REMEMBERED = 20_000
/** Names of a group that have figures of their own; further ones have none. */
const NAMES = 1_000
const RELOADS = 50
/** Bins of win rates in which ratings are compared, from 0 to 1. */
export const RATING_BINS = 10

/** What one version of a router or a policy did, and how it was rated. */
export class Variant {
  decisions = 0
  strong = 0
  /** decisions beside those of the version that serves, and those of them for the same model */
  compared = 0
  agreed = 0
  requests = 0
  errors = 0
  readonly cost = new RunningMean()
  readonly ms = new RunningMean()
  readonly score = new RunningMean()
}

interface Remembered {
  readonly variant: Variant | undefined
  readonly policy: Variant | undefined
  readonly winRate: number | null
  readonly strong: string | undefined
  readonly model: string | undefined
  rated: boolean
}

/** What came of an upstream's attempts that were not given up. */
export class UpstreamCounts {
  attempts = 0
  failed = 0
  readonly ms = new RunningMean()
}

/** A reload that was done or refused. */
export interface ReloadSeen {
  /** milliseconds since 1970 */
  readonly time: number
  readonly result: 'ok' | 'refused'
  readonly message: string
}

/** Ratings of answers whose decisions had win rates in one bin. */
export interface RatedBin {
  readonly winRate: RunningMean
  readonly strong: RunningMean
  readonly weak: RunningMean
}

/**
 * Figures with intervals of what was saved, of versions beside each other and of ratings, in bounded memory: each
 * decision, request and rating costs a few additions and is then forgotten.
 */
export class Outcomes {
  /** dollars that each request saved, by group and name */
  readonly #saved = new Map<SpendGroup, Map<string, RunningMean>>(
    SPEND_GROUPS.map((group) => [group, new Map()]),
  )
  readonly saved = new RunningMean()
  /** by router and version, and by policy and hash */
  readonly #versions = new Map<string, Variant>()
  readonly #policies = new Map<string, Variant>()
  readonly #remembered = new RecentMap<string, Remembered>(REMEMBERED)
  /** the model that the serving version chose, by the prompt's hash: for its shadow, which decides next */
  readonly #chosen = new RecentMap<string, string>(1_000)
  #shadows = false
  readonly #upstreams = new Map<string, UpstreamCounts>()
  readonly #reloads: ReloadSeen[] = []
  readonly #now: () => number
  readonly bins: readonly RatedBin[] = Array.from({ length: RATING_BINS }, () => ({
    winRate: new RunningMean(),
    strong: new RunningMean(),
    weak: new RunningMean(),
  }))

  /** @param now milliseconds since 1970 */
  constructor(now: () => number) {
    this.#now = now
  }

  readonly observe: DecisionObserver = ({ decision, hash, live, shadow }) => {
    const variant = this.#of(this.#versions, `${decision.router.name}\n${decision.router.version}`)
    if (!variant) return
    variant.decisions++
    if (decision.model === live.strong) variant.strong++
    if (shadow) {
      this.#shadows = true
      const chosen = this.#chosen.get(hash)
      if (chosen !== undefined) {
        variant.compared++
        if (chosen === decision.model) variant.agreed++
      }
      return
    }
    if (this.#shadows) this.#chosen.set(hash, decision.model)
    this.#remembered.set(decision.id, {
      ...{ variant, policy: undefined, winRate: decision.win_rate, strong: live.strong },
      ...{ model: decision.model, rated: false },
    })
  }

  readonly served: ServedObserver = (served) => {
    const { plan, request, model, savedUsd } = served
    const decision = plan.kind === 'serve' ? plan.decision : undefined
    const known = decision && this.#remembered.get(decision.id)
    const policy =
      plan.policy && this.#of(this.#policies, `${plan.policy.name}\n${plan.policy.hash}`)
    for (const variant of [known?.variant, policy]) if (variant) addServed(variant, served)
    const about = {
      ...{ variant: known?.variant, policy, winRate: known?.winRate ?? null },
      ...{ strong: known?.strong, model, rated: false },
    }
    // either id may be rated
    if (decision) this.#remembered.set(decision.id, about)
    if (request.id !== decision?.id) this.#remembered.set(request.id, about)
    for (const { upstream, outcome, milliseconds } of served.attempts) {
      if (outcome !== 'cancelled') this.#attempted(upstream, outcome, milliseconds)
    }
    if (savedUsd === undefined) return
    this.saved.add(savedUsd)
    this.#save('key', request.caller.name, savedUsd)
    this.#save('route', routeOf(plan), savedUsd)
    if (model !== undefined) this.#save('model', model, savedUsd)
  }

  readonly rated = ({ decision_id: id, score, model }: FeedbackRecord): void => {
    const about = this.#remembered.get(id)
    // an answer counts once, and the answer of a shadow is not the one that was given
    if (!about || about.rated || (model !== undefined && model !== about.model)) return
    about.rated = true
    about.variant?.score.add(score)
    about.policy?.score.add(score)
    const { winRate, strong } = about
    if (winRate === null || strong === undefined) return
    const at = Math.min(RATING_BINS - 1, Math.max(0, Math.floor(winRate * RATING_BINS)))
    const bin = this.bins[at]!
    bin.winRate.add(winRate)
    bin[about.model === strong ? 'strong' : 'weak'].add(score)
  }

  reloaded(result: ReloadSeen['result'], error?: unknown): void {
    const message = error instanceof Error ? error.message : result === 'ok' ? '' : String(error)
    this.#reloads.push({ time: this.#now(), result, message })
    if (this.#reloads.length > RELOADS) this.#reloads.shift()
  }

  /** oldest first */
  get reloads(): readonly ReloadSeen[] {
    return this.#reloads
  }

  upstreamOf(name: string): UpstreamCounts | undefined {
    return this.#upstreams.get(name)
  }

  savedOf(group: SpendGroup, name: string): RunningMean | undefined {
    return this.#saved.get(group)?.get(name)
  }

  versionOf(router: string, version: string): Variant | undefined {
    return this.#versions.get(`${router}\n${version}`)
  }

  policyOf(name: string, hash: string): Variant | undefined {
    return this.#policies.get(`${name}\n${hash}`)
  }

  #of(all: Map<string, Variant>, name: string): Variant | undefined {
    const known = all.get(name)
    if (known || all.size >= NAMES) return known
    const variant = new Variant()
    all.set(name, variant)
    return variant
  }

  #attempted(upstream: string, outcome: string, milliseconds: number): void {
    let counts = this.#upstreams.get(upstream)
    if (!counts) {
      counts = new UpstreamCounts()
      this.#upstreams.set(upstream, counts)
    }
    counts.attempts++
    if (outcome !== 'answered') counts.failed++
    counts.ms.add(milliseconds)
  }

  #save(group: SpendGroup, name: string, usd: number): void {
    const all = this.#saved.get(group)!
    let mean = all.get(name)
    if (!mean) {
      if (all.size >= NAMES) return
      mean = new RunningMean()
      all.set(name, mean)
    }
    mean.add(usd)
  }
}

function addServed(variant: Variant, { code, status, costUsd, milliseconds }: Served): void {
  variant.requests++
  if (code !== undefined || status >= 400) variant.errors++
  if (costUsd !== undefined) variant.cost.add(costUsd)
  variant.ms.add(milliseconds)
}
