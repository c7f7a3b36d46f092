import { dirname } from 'node:path'
import { type OutgoingUrl, outgoingFetch, outgoingUrl } from '../../core/outgoing.ts'
import { isOod } from '../../models/bundle/ood-rule.ts'
import { changeServing, finishServingChange } from '../../models/bundle/serving-change.ts'
import type { FeedbackRecord } from '../../records/decision-record.ts'
import { KeyShares } from '../../records/feedback/key-share.ts'
import { feedbackKey } from '../../records/feedback/store.ts'
import { readHistory, readRollout, recordEvent } from '../../records/rollout.ts'
import type { Fleet } from '../router/fleet.ts'
import type { DecisionEvent, DecisionObserver } from '../router/observer.ts'
import {
  type Alarms,
  DEFAULT_ROLLBACK_DECISIONS,
  DEFAULT_RUN_LENGTH,
  DEFAULT_SHIFT,
} from './config.ts'
import { MeanAlarm } from './mean-alarm.ts'
import { RouterWatch, type WatchName } from './router-watch.ts'

export interface Alarm {
  readonly alarm: WatchName | 'quality'
  readonly router: string
  readonly version: string
  /** ISO 8601 */
  readonly time: string
  /** traffic no longer looks like the certificate's data */
  readonly certificate_stale: boolean
}

/** Fewest ratings of a key for a meaningful mean. */
const MEAN_RATINGS = 5

/** The keys that rated the decisions of one version. */
class Raters {
  private readonly several: boolean
  private readonly shares = new KeyShares()
  private readonly keys = new Map<string, { count: number; sum: number }>()

  /** @param several whether there are several keys: then no single key decides */
  constructor(several: boolean) {
    this.several = several
  }

  get total(): number {
    return this.shares.total
  }

  /** Whether this rating counts. */
  count(key: string, score: number): boolean {
    if (!this.shares.count(this.several ? key : undefined)) return false
    const its = this.keys.get(key) ?? { count: 0, sum: 0 }
    this.keys.set(key, its)
    its.count++
    its.sum += score
    return true
  }

  /**
   * Whether enough decisions were rated and, if there are several keys, two of them have a mean below the
   * reference.
   */
  agree(decisions: number, reference: number): boolean {
    if (this.total < decisions) return false
    if (!this.several) return true
    const fallen = [...this.keys.values()].filter(
      ({ count, sum }) => count >= MEAN_RATINGS && sum / count < reference,
    )
    return fallen.length > 1
  }
}

export interface WatcherOptions {
  readonly config: Alarms
  /** hosts that the webhook may be on; any if undefined */
  readonly allowHosts?: readonly string[] | undefined
  readonly fleet: Fleet
  readonly now: () => number
  readonly onWarning: (message: string, error?: unknown) => void
  /** API keys that may rate; none if the server requires no keys */
  readonly keys?: number | undefined
  /** posts an alarm; replaced in tests */
  readonly post?: (url: OutgoingUrl, alarm: Alarm) => Promise<void>
}

interface Remembered {
  readonly router: string
  readonly version: string
  readonly model: string
  /** sources whose feedback was counted */
  readonly heard: Set<string>
  /** one of its ratings counts in the quality alarm */
  counted: boolean
}

/** One in this many decisions is encoded again for its embedding: encoding dominates the cost of a request. */
const EMBED_EVERY = 10

/** Decisions remembered, so that feedback can be assigned to its version. */
const REMEMBERED = 100_000

/** Watches decisions and feedback, sends alarms, and rolls back versions whose quality has fallen. */
export class AlarmWatcher {
  private readonly options: WatcherOptions
  private readonly webhook: OutgoingUrl | undefined
  private readonly watches = new Map<string, RouterWatch>()
  private readonly quality = new Map<string, MeanAlarm>()
  private readonly about = new Map<string, Remembered>()
  /** by router and version */
  private readonly raters = new Map<string, Raters>()
  /** router and version whose quality has fallen, with too few rated decisions to roll back yet */
  private readonly fallen = new Set<string>()
  /** number of alarms so far, by router and name */
  readonly raised = new Map<string, { router: string; alarm: string; count: number }>()
  readonly stale = new Set<string>()
  private seen = 0
  /** notifications and rollbacks in progress */
  private work: Promise<unknown> = Promise.resolve()

  /** @throws config_invalid if the webhook's address is not allowed */
  constructor(options: WatcherOptions) {
    this.options = options
    const { config, allowHosts } = options
    if (config.webhook !== undefined) {
      this.webhook = outgoingUrl(config.webhook, 'alarms.webhook', { allowHosts, query: true })
    }
  }

  readonly observe: DecisionObserver = (event) => {
    const { decision, shadow, live } = event
    if (shadow) return
    const { name: router, version } = decision.router
    this.about.set(decision.id, {
      router,
      version,
      model: decision.model,
      heard: new Set(),
      counted: false,
    })
    if (this.about.size > REMEMBERED) this.about.delete(this.about.keys().next().value!)
    if (decision.fallback || decision.win_rate === null) return
    const watch = this.watchOf(event)
    const strong = decision.win_rate >= decision.threshold
    // the router's uncorrected win rates: online updates change them by design
    const winRate = event.baseWinRate ?? decision.win_rate
    for (const name of watch.decision(winRate, strong)) this.raise(name, router, version)
    if (decision.ood !== undefined) {
      const odd = isOod(decision.ood, live.router.manifest.ood)
      for (const name of watch.outOfDistribution(odd)) this.raise(name, router, version)
    }
    if (live.router.manifest.encoder.output !== 'dense') return
    if (this.seen++ % EMBED_EVERY !== 0) return
    live.router.embed([event.text]).then(
      (embeddings) => {
        if (embeddings.kind !== 'dense') return
        for (const name of watch.embedding(embeddings.values)) this.raise(name, router, version)
      },
      // encoder failures are reported where decisions are made
      () => {},
    )
  }

  feedback(record: FeedbackRecord): void {
    const about = this.about.get(record.decision_id)
    // only a source's first rating of an answer is watched; repeated ones carry no new information
    if (!about || about.heard.has(feedbackKey(record))) return
    about.heard.add(feedbackKey(record))
    const { router, version } = about
    const watch = this.watches.get(`${router}\n${version}`)
    if (record.cost_usd !== undefined && watch) {
      for (const name of watch.cost(record.cost_usd)) this.raise(name, router, version)
    }
    const { quality } = this.options.config
    if (!quality || (quality.model ?? about.model) !== (record.model ?? about.model)) return
    const key = `${router}\n${version}`
    // a decision counts once, however many sources rate it, and a key for no more than all others together
    if (about.counted || !this.ratersOf(key).count(record.key ?? '', record.score)) return
    about.counted = true
    let alarm = this.quality.get(key)
    if (!alarm) {
      alarm = new MeanAlarm({
        reference: quality.reference,
        ...(quality.rows === undefined ? {} : { referenceRows: quality.rows }),
        shift: quality.shift ?? DEFAULT_SHIFT,
        direction: 'fall',
        runLength: this.options.config.run_length ?? DEFAULT_RUN_LENGTH,
      })
      this.quality.set(key, alarm)
    }
    if (alarm.add(record.score)) this.fallen.add(key)
    // an alarm that could cause a rollback waits for enough decisions
    const least = this.options.config.rollback ? this.leastDecisions : 1
    if (this.fallen.has(key) && this.ratersOf(key).total >= least) {
      this.fallen.delete(key)
      this.raise('quality', router, version)
    }
  }

  /** By router: how near each alarm of the versions that answer now is to firing. */
  levels(): { router: string; alarm: string; level: number }[] {
    const { snapshot } = this.options.fleet
    return [...(snapshot?.routers ?? [])].flatMap(([router, live]) => {
      const key = `${router}\n${live.router.manifest.version}`
      const quality = this.quality.get(key)
      const levels: [string, number][] = this.watches.get(key)?.levels() ?? []
      return [...levels, ...(quality ? [['quality', quality.level] as [string, number]] : [])].map(
        ([alarm, level]) => ({ router, alarm, level }),
      )
    })
  }

  /** Resolves once every alarm so far has been sent and acted on. */
  async settled(): Promise<void> {
    await this.work
  }

  private watchOf({ decision, live }: DecisionEvent): RouterWatch {
    const key = `${decision.router.name}\n${decision.router.version}`
    let watch = this.watches.get(key)
    if (!watch) {
      const { certificate } = live.router.manifest.threshold
      const values = certificate?.win_rate_quantiles
      const rows = Number(certificate?.unlabelled_n ?? certificate?.n)
      const known = Array.isArray(values) && values.every((x) => typeof x === 'number') && rows > 0
      watch = new RouterWatch(this.options.config, known ? { values, rows } : undefined)
      this.watches.set(key, watch)
    }
    return watch
  }

  private raise(name: Alarm['alarm'], router: string, version: string): void {
    const key = `${router}\n${name}`
    const before = this.raised.get(key)
    this.raised.set(key, { router, alarm: name, count: (before?.count ?? 0) + 1 })
    const certified = this.certified(router)
    const stale = certified && (name === 'win_rate' || name === 'embedding' || name === 'quality')
    if (stale) this.stale.add(router)
    const alarm: Alarm = {
      alarm: name,
      router,
      version,
      time: new Date(this.options.now()).toISOString(),
      certificate_stale: stale,
    }
    this.options.onWarning(
      `alarm: ${name} of ${router} ${version} has changed${stale ? '; its certificate is stale' : ''}`,
    )
    this.work = this.work
      .then(() => this.tell(alarm))
      .catch((error: unknown) => {
        this.options.onWarning('an alarm could not be acted on', error)
      })
  }

  private get leastDecisions(): number {
    return this.options.config.rollback_decisions ?? DEFAULT_ROLLBACK_DECISIONS
  }

  private ratersOf(key: string): Raters {
    let raters = this.raters.get(key)
    if (!raters) {
      raters = new Raters((this.options.keys ?? 0) > 1)
      this.raters.set(key, raters)
    }
    return raters
  }

  /** Whether the feedback covers enough decisions and keys for an automatic rollback. */
  private enough({ router, version }: Alarm): boolean {
    const least = this.leastDecisions
    const { reference = 1 } = this.options.config.quality ?? {}
    if (this.ratersOf(`${router}\n${version}`).agree(least, reference)) return true
    this.options.onWarning(
      `no rollback of ${router} ${version}: it takes feedback on ${least} decisions, and where there are several keys two whose own mean has fallen`,
    )
    return false
  }

  private certified(router: string): boolean {
    const live = this.options.fleet.snapshot?.routers.get(router)
    return live?.router.manifest.threshold.certificate !== undefined
  }

  private async tell(alarm: Alarm): Promise<void> {
    const { config, fleet } = this.options
    const live = fleet.snapshot?.routers.get(alarm.router)
    if (live) {
      const home = dirname(live.router.path)
      const serving = live.router.manifest.version
      const { version, time } = alarm
      const reason = `${alarm.alarm} has changed${alarm.certificate_stale ? '; the certificate is stale' : ''}`
      await recordEvent(home, { time, event: 'alarm', version, serving, reason })
      if (config.rollback && alarm.alarm === 'quality' && this.enough(alarm))
        await this.takeBack(home, alarm, serving)
    }
    if (this.webhook) await (this.options.post ?? postAlarm)(this.webhook, alarm)
  }

  /** The version being rolled out, else the last promotion; a version that was never promoted stays. */
  private async takeBack(home: string, { router, time }: Alarm, serving: string): Promise<void> {
    const reason = 'alarm: quality'
    await finishServingChange(home)
    if (await readRollout(home)) {
      const event = { time, event: 'rollback', version: serving, serving, reason } as const
      await changeServing(home, { event })
      await this.options.fleet.reload()
      return
    }
    const history = await readHistory(home)
    const last = history.findLast((one) => one.event === 'all' && one.version === serving)
    if (!last) return
    await this.options.fleet.rollback(router, last.serving, reason)
  }
}

async function postAlarm(url: OutgoingUrl, alarm: Alarm): Promise<void> {
  const response = await outgoingFetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(alarm),
    signal: AbortSignal.timeout(5000),
  })
  await response.body?.cancel()
  if (!response.ok) throw new Error(`the webhook answered ${response.status}`)
}
