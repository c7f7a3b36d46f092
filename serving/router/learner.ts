import { join } from 'node:path'
import { RecentMap } from '../../core/bounded-map.ts'
import { WeirError } from '../../core/errors.ts'
import type { Decision, RouteRequest } from '../../models/decision/decision.ts'
import { keepBandit, lastBandit, newestBandit } from '../../models/online/bandit-file.ts'
import { sketchRow } from '../../models/online/embedding-sketch.ts'
import {
  type Advice,
  type BasePrediction,
  OnlineHead,
  type OnlineHeadOptions,
  type PairCost,
  STRONG,
  WEAK,
} from '../../models/online/online-head.ts'
import { estimateCost } from '../../models/prices.ts'
import type { FeedbackRecord } from '../../records/decision-record.ts'
import { KeyShares } from '../../records/feedback/key-share.ts'
import { feedbackKey } from '../../records/feedback/store.ts'
import {
  DEFAULT_FEATURES,
  DEFAULT_FORGETTING,
  DEFAULT_KEEP_EVERY,
  DEFAULT_MAX_STEP,
  DEFAULT_PRIOR_ROWS,
  DEFAULT_REMEMBERED,
  DEFAULT_WIDTH,
  type Online,
} from './config.ts'
import type { LiveRouter } from './live-router.ts'
import type { Scored } from './scoring.ts'

/** The part of a request that a correction needs. */
interface Asked {
  readonly request: RouteRequest
  readonly text: string
  readonly hash: string
}

interface Remembered {
  readonly kept: KeptHead
  readonly live: LiveRouter
  readonly model: string
  readonly features: Float32Array | undefined
  readonly base: BasePrediction | undefined
  readonly estimated: number
  /** sources that gave feedback on it */
  readonly heard: Set<string>
  /** its cost has been reported */
  settled: boolean
}

export interface LearnerOptions {
  readonly config: Online
  /** API keys that may rate; with one or none, no key's weight is limited */
  readonly keys?: number | undefined
  readonly onWarning: (message: string, error?: unknown) => void
}

/** Prompts whose features are cached, so that a repeated one is not encoded again. */
const CACHED = 8192

/** Learns the routers' errors from feedback, and corrects their decisions within a budget. */
export class OnlineLearner {
  private readonly options: LearnerOptions
  private readonly size: number
  private readonly heads = new Map<string, Promise<KeptHead>>()
  private readonly open = new Map<string, KeptHead>()
  private readonly cache = new RecentMap<string, Float32Array>(CACHED)
  private readonly about: RecentMap<string, Remembered>

  constructor(options: LearnerOptions) {
    this.options = options
    this.size = options.config.features ?? DEFAULT_FEATURES
    this.about = new RecentMap(options.config.remembered ?? DEFAULT_REMEMBERED)
  }

  /** Reads a router's state. @throws state_invalid; config_invalid if a budget has no prices to work with */
  ready(live: LiveRouter): Promise<KeptHead> {
    const key = keyOf(live)
    let head = this.heads.get(key)
    if (!head) {
      head = this.openHead(live, key)
      // a failure is retried at the next request
      head.catch(() => this.heads.delete(key))
      this.heads.set(key, head)
    }
    return head
  }

  /**
   * The inputs of a prompt's correction; undefined if they are unavailable, for example because the encoder
   * fails.
   */
  async features(
    live: LiveRouter,
    asked: Asked,
    scored: Scored,
  ): Promise<Float32Array | undefined> {
    if (scored.winRate === undefined || scored.fallbackReason) return undefined
    const key = `${live.router.manifest.encoder.id}\n${asked.hash}`
    try {
      await this.ready(live)
      let sketch = this.cache.get(key)
      if (!sketch) {
        sketch = new Float32Array(this.size)
        sketchRow(await live.router.embed([asked.text]), 0, sketch, 0, this.size)
        this.cache.set(key, sketch)
      }
      const x = new Float32Array(this.size + 2)
      x[0] = 1
      x[1] = scored.winRate - 0.5
      x.set(sketch, 2)
      return x
    } catch (error) {
      this.options.onWarning(`no online correction of ${live.router.manifest.name}`, error)
      return undefined
    }
  }

  begin(live: LiveRouter): void {
    this.open.get(keyOf(live))?.head.begin()
  }

  advise(
    live: LiveRouter,
    { request, text }: Asked,
    scored: Scored,
    features: Float32Array | undefined,
  ): Advice | undefined {
    const kept = this.open.get(keyOf(live))
    const base = baseOf(live, scored)
    if (!kept || !base) return undefined
    const threshold = request.threshold ?? live.router.manifest.threshold.value
    return kept.head.advise(features, base, threshold, costOf(live, text))
  }

  /** Counts its cost, and remembers it until its feedback arrives. */
  decided(
    decision: Decision,
    live: LiveRouter,
    scored: Scored,
    features: Float32Array | undefined,
  ): void {
    const kept = this.open.get(keyOf(live))
    if (!kept) return
    const estimated = decision.candidates[0]?.est_cost_usd ?? 0
    kept.spend(estimated)
    const { id, model } = decision
    const base = baseOf(live, scored)
    this.about.set(id, {
      kept,
      live,
      model,
      features,
      base,
      estimated,
      heard: new Set(),
      settled: false,
    })
  }

  feedback(record: FeedbackRecord): void {
    const about = this.about.get(record.decision_id)
    // only a source's first feedback on an answer is used
    if (!about || about.heard.has(feedbackKey(record))) return
    const { kept, features, base, heard } = about
    const model = record.model ?? about.model
    heard.add(feedbackKey(record))
    if (record.cost_usd !== undefined && model === about.model && !about.settled) {
      about.settled = true
      kept.head.settle(record.cost_usd - about.estimated)
    }
    const candidate = about.live.router.manifest.candidates.find((one) => one.model === model)
    if (!features || !base || !candidate || candidate.role === 'other') return
    if (!kept.shares.count(this.limitedKey(record))) return
    kept.head.learn(candidate.role === 'strong' ? STRONG : WEAK, features, base, record.score)
    kept.learnt(this.options.config.keep_every ?? DEFAULT_KEEP_EVERY, (error) =>
      this.options.onWarning('an online state cannot be kept', error),
    )
  }

  private limitedKey({ key, role }: FeedbackRecord): string | undefined {
    return (this.options.keys ?? 0) > 1 && role !== 'any' ? key : undefined
  }

  /** Applies states that were reverted on disk. */
  async follow(): Promise<void> {
    for (const kept of this.open.values()) {
      await kept.follow().catch((error: unknown) => {
        this.options.onWarning('an online state cannot be read', error)
      })
    }
  }

  async close(): Promise<void> {
    for (const kept of this.open.values()) await kept.keep()
  }

  private async openHead(live: LiveRouter, key: string): Promise<KeptHead> {
    const { config } = this.options
    const { name, version, candidates } = live.router.manifest
    const budget = config.budget_usd_per_1000
    const unpriced = candidates.find(
      (one) => one.role !== 'other' && !(one.price && one.output_tokens !== undefined),
    )
    if (budget !== undefined && unpriced) {
      throw new WeirError('config_invalid', {
        where: 'online.budget_usd_per_1000',
        expected: 'prices and answer lengths of both models in the bundle',
        got: `none of ${unpriced.model} in ${name}`,
      })
    }
    const kept = await KeptHead.open(join(config.folder, name, version), {
      policy: config.policy ?? 'thompson',
      dimension: this.size + 2,
      priorRows: config.prior_rows ?? DEFAULT_PRIOR_ROWS,
      forgetting: config.forgetting ?? DEFAULT_FORGETTING,
      maxStep: config.max_step ?? DEFAULT_MAX_STEP,
      width: config.width ?? DEFAULT_WIDTH,
      perRequest: budget === undefined ? undefined : budget / 1000,
    })
    this.open.set(key, kept)
    return kept
  }
}

const keyOf = ({ router: { manifest } }: LiveRouter): string =>
  `${manifest.name}\n${manifest.version}`

/** Of the pair, by the bundle's prices; 0 if it has none. */
function costOf({ router: { manifest } }: LiveRouter, text: string): PairCost {
  const of = (role: 'strong' | 'weak'): number => {
    const { price, output_tokens: tokens } = manifest.candidates.find((one) => one.role === role)!
    return price && tokens !== undefined ? estimateCost(price, text.length, tokens) : 0
  }
  return { weak: of('weak'), strong: of('strong') }
}

function baseOf({ router: { manifest } }: LiveRouter, scored: Scored): BasePrediction | undefined {
  const { winRate, quality } = scored
  if (winRate === undefined) return undefined
  if (!quality) return { winRate, level: undefined }
  let sum = 0
  manifest.candidates.forEach(({ role }, i) => {
    if (role !== 'other') sum += quality[i]!
  })
  return { winRate, level: sum / 2 }
}

/** One router version's online head and its states on disk. */
class KeptHead {
  head: OnlineHead
  readonly shares: KeyShares
  private readonly folder: string
  private readonly options: OnlineHeadOptions
  /** of the state that the head continues from; 0 is the router without corrections */
  private number: number
  private unkept = 0
  /** there are changes that no state holds yet */
  private moved = false
  private work: Promise<void> = Promise.resolve()

  private constructor(folder: string, options: OnlineHeadOptions, number: number) {
    this.folder = folder
    this.options = options
    this.number = number
    this.head = new OnlineHead(options)
    // what is further back is forgotten, so a key's share is of what is remembered
    this.shares = new KeyShares(Math.round(1 / (1 - options.forgetting)))
  }

  /** Continues from the newest state on disk. @throws state_invalid */
  static async open(folder: string, options: OnlineHeadOptions): Promise<KeptHead> {
    const kept = new KeptHead(folder, options, await newestBandit(folder))
    await kept.adopt()
    return kept
  }

  /** Counts a request. The state of the budget is saved too, at the latest on closing. */
  spend(dollars: number): void {
    this.moved = true
    this.head.spend(dollars)
  }

  /** Counts an outcome; a state is saved after every `keepEvery` outcomes. */
  learnt(keepEvery: number, onFailure: (error: unknown) => void): void {
    this.moved = true
    if (++this.unkept >= keepEvery) this.keep().catch(onFailure)
  }

  /** Writes what was learnt since the last state, unless that state has been reverted meanwhile. */
  keep(): Promise<void> {
    this.unkept = 0
    if (!this.moved) return this.work
    this.moved = false
    return this.inTurn(async () => {
      if (await this.reverted()) await this.adopt()
      else this.number = await keepBandit(this.folder, this.head.state)
    })
  }

  /** Reverts if the newest state was reverted on disk; what was learnt since is discarded with it. */
  follow(): Promise<void> {
    return this.inTurn(async () => {
      if (await this.reverted()) await this.adopt()
    })
  }

  private async reverted(): Promise<boolean> {
    return (await newestBandit(this.folder)) < this.number
  }

  private async adopt(): Promise<void> {
    this.number = await newestBandit(this.folder)
    const state = await lastBandit(this.folder)
    const head = new OnlineHead(this.options)
    if (state) {
      try {
        head.restore(state)
      } catch (cause) {
        const reason = (cause as Error).message
        const what = 'an online head of these features'
        throw new WeirError('state_invalid', { path: this.folder, what, reason }, { cause })
      }
    }
    this.head = head
    this.unkept = 0
    this.moved = false
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const next = this.work.then(work)
    this.work = next.catch(() => {})
    return next
  }
}
