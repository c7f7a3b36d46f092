import { printable } from '../../../core/printable.ts'
import type { LogRecord } from '../../../records/decision-record.ts'
import { loggedText } from '../../../records/redaction.ts'
import type { Served, ServedObserver } from '../../gateway/contracts.ts'
import type { DecisionEvent, DecisionObserver } from '../../router/observer.ts'
import type { Answered, Spread, Tick, TrafficRow } from './contract.ts'
import { Outcomes } from './outcomes.ts'

/** Rows kept; older ones go. */
const ROWS = 10_000
/** Rows kept of one second: of ordinary decisions, and of those that stand out. */
const ORDINARY_PER_SECOND = 25
const NOTABLE_PER_SECOND = 25
const SECONDS = 120
const MINUTES = 1440
/** Bins of win rates, from 0 to 1. */
export const WIN_RATE_BINS = 100
/** Characters of a prompt in a row. */
const TEXT_SHOWN = 300
const TEXT_READ = 12_000

export interface TrafficOptions {
  /** how prompts may be kept, as in the decision log */
  readonly texts: 'none' | 'redacted' | 'full'
  /** milliseconds since 1970 */
  readonly now: () => number
  /** rows kept, by default 10,000 */
  readonly rows?: number
}

/**
 * What the console shows of traffic, in bounded memory: exact counts by second and minute and by win rate, and a sample
 * of rows. A decision that is not sampled costs a few additions; nothing is sent unless somebody asks.
 */
export class Traffic {
  private readonly started: number
  private readonly seconds: Tick[] = []
  private readonly minutes: Tick[] = []
  private readonly totals: Tick
  /** by id, in the order of their `seq` */
  private readonly rows = new Map<string, TrafficRow>()
  private readonly spreads = new Map<string, Spread>()
  private seq = 0
  private seen = 0
  private ordinary = 0
  private notable = 0
  /** of ordinary decisions, one in so many is kept this second */
  private stride = 1
  private passed = 0
  private current: Tick

  /** figures with intervals */
  readonly outcomes: Outcomes

  private readonly options: TrafficOptions

  constructor(options: TrafficOptions) {
    this.options = options
    this.outcomes = new Outcomes(options.now)
    this.started = options.now()
    this.totals = emptyTick(this.started)
    this.current = emptyTick(Math.floor(this.started / 1000) * 1000)
  }

  readonly observe: DecisionObserver = (event) => {
    this.outcomes.observe(event)
    const { decision, shadow, live } = event
    const tick = this.tickAt(event.time)
    if (!shadow) {
      this.seen++
      tick.decisions++
      if (decision.model === live.strong) tick.strong++
      if (decision.fallback) tick.fallbacks++
      tick.decision_ms += decision.timing_ms
      this.countWinRate(event)
    }
    if (this.sampled(decision.fallback || decision.truncated)) this.put(this.decisionRow(event))
  }

  readonly served: ServedObserver = (served) => {
    this.outcomes.served(served)
    const { plan } = served
    const decision = plan.kind === 'serve' ? plan.decision : undefined
    const tick = this.tickAt(this.options.now())
    tick.requests++
    const failed = served.code !== undefined || served.status >= 400
    if (failed) tick.errors++
    if (!decision) this.seen++
    for (const { milliseconds } of served.attempts) tick.upstream_ms += milliseconds
    tick.cost_usd += served.costUsd ?? 0
    tick.saved_usd += served.savedUsd ?? 0
    const known = decision && this.rows.get(decision.id)
    if (known) this.put(this.withServed(known, served))
    else if (decision ? failed && this.sampled(true) : this.sampled(failed)) {
      this.put(this.withServed(this.requestRow(served), served))
    }
  }

  /** A record of a decision log, each of which becomes a row or joins one. Records come in the order of their time. */
  logged(record: LogRecord): void {
    if (record.object === 'decision') {
      const { time, model, win_rate: rate, router, text } = record
      const tick = this.tickAt(time)
      if (record.shadow !== true) {
        this.seen++
        tick.decisions++
        if (record.reason === 'win_rate_reached') tick.strong++
        if (record.fallback_reason !== undefined) tick.fallbacks++
        if (rate !== null) this.spreadAt(router, rate)
      }
      this.put({
        ...emptyRow(record.id, time),
        ...{ router, version: record.version, model, win_rate: rate, threshold: record.threshold },
        ...{ step: 'learned', reason: record.reason, session: record.session_id ?? null },
        flags: [
          ...(record.fallback_reason === undefined ? [] : [`fallback: ${record.fallback_reason}`]),
          ...(record.reason === 'explored' ? ['explored'] : []),
          ...(record.shadow ? ['shadow'] : []),
          ...(record.audit ? ['audit'] : []),
        ],
        propensity: record.propensity,
        ...{ text: text === undefined ? null : this.shown(text), prompt_hash: record.prompt_hash },
      })
    } else if (record.object === 'gateway') {
      const tick = this.tickAt(record.time)
      tick.requests++
      const failed = record.code !== undefined || record.status >= 400
      if (failed) tick.errors++
      tick.cost_usd += record.cost_usd ?? 0
      tick.saved_usd += record.saved_usd ?? 0
      const decision = record.decision_id
      const known = decision === undefined ? undefined : this.rows.get(decision)
      if (!known) this.seen++
      const { endpoint, key, model, step, reason, code, ms, status } = record
      const row = known ?? emptyRow(decision ?? record.id, record.time)
      this.put({
        ...row,
        ...{ endpoint, key, model, step, reason, ms, status, code: code ?? null },
        ...{ rule: record.rule ?? null, first_byte_ms: record.first_byte_ms ?? null },
        ...{
          win_rate: record.win_rate ?? row.win_rate,
          threshold: record.threshold ?? row.threshold,
        },
        ...{ cost_usd: record.cost_usd ?? null, saved_usd: record.saved_usd ?? null },
        ...{ session: record.session_id ?? row.session, propensity: record.propensity },
        text: row.text ?? (record.text === undefined ? null : this.shown(record.text)),
        flags: [
          ...row.flags,
          ...(failed ? ['error'] : []),
          ...(record.failover_from === undefined ? [] : ['failover']),
          ...(record.strategy === 'single' ? [] : [record.strategy]),
        ],
        attempts: record.attempts.map((one) => ({
          ...{ model: one.model, upstream: one.upstream, outcome: one.outcome, ms: one.ms },
          cost_usd: one.cost_usd ?? null,
        })),
        checks: (record.checks ?? []).map(({ check, model: its, score, passed }) => ({
          ...{ check, model: its, score, passed },
        })),
      })
    }
  }

  /** Counts by second, minute and router. */
  counts(): Pick<
    Answered<'overview'>,
    'now' | 'started' | 'totals' | 'seconds' | 'minutes' | 'texts'
  > {
    const now = this.options.now()
    const current = this.tickAt(now)
    const { time: _, ...totals } = sumOf([this.totals, current])
    const minute = Math.floor(current.time / 60_000) * 60_000
    const last = this.minutes.at(-1)
    const running =
      last?.time === minute
        ? [sumOf([last, current])]
        : [...(last ? [last] : []), { ...current, time: minute }]
    return {
      ...{ now, started: this.started, totals },
      seconds: [...this.seconds, { ...current }],
      minutes: [...this.minutes.slice(0, -1), ...running],
      texts: this.options.texts !== 'none',
    }
  }

  /** The win rates of a router's decisions, and what each of its pair would have cost for them. */
  spreadOf(router: string): Spread {
    return this.spreads.get(router) ?? emptySpread()
  }

  rowsAfter(after: number, limit: number): Answered<'decisions'> {
    const rows: TrafficRow[] = []
    let more = false
    for (const row of this.rows.values()) {
      if (row.seq <= after) continue
      if (rows.length === limit) {
        more = true
        break
      }
      rows.push(row)
    }
    return { rows, seen: this.seen, next: rows.at(-1)?.seq ?? Math.max(after, 0), more }
  }

  /** Counts a win rate of a router. */
  private spreadAt(
    router: string,
    rate: number,
  ): { readonly spread: Spread; readonly bin: number } {
    let spread = this.spreads.get(router)
    if (!spread) {
      spread = emptySpread()
      this.spreads.set(router, spread)
    }
    const bin = Math.min(WIN_RATE_BINS - 1, Math.max(0, Math.floor(rate * WIN_RATE_BINS)))
    spread.counts[bin]!++
    return { spread, bin }
  }

  private countWinRate({ decision, live }: DecisionEvent): void {
    const { win_rate: rate, candidates, router } = decision
    if (rate === null) return
    const { spread, bin } = this.spreadAt(router.name, rate)
    let strong: number | null = null
    let weak: number | null = null
    for (const { model, est_cost_usd: cost } of candidates) {
      if (model === live.strong) strong = cost
      else if (weak === null || model === live.weak) weak = cost
    }
    if (strong === null || weak === null) return
    spread.priced++
    spread.strong_usd[bin]! += strong
    spread.weak_usd[bin]! += weak
  }

  /** The current second's counts; when a second has ended, it joins its minute. */
  private tickAt(time: number): Tick {
    const start = Math.floor(time / 1000) * 1000
    const current = this.current
    if (start <= current.time) return current
    // how many came in the last second decides which share of the next one's is kept
    this.stride = Math.max(1, Math.ceil(this.passed / ORDINARY_PER_SECOND))
    this.ordinary = 0
    this.notable = 0
    this.passed = 0
    this.seconds.push(current)
    if (this.seconds.length > SECONDS) this.seconds.shift()
    addTo(this.totals, current)
    const minute = Math.floor(current.time / 60_000) * 60_000
    const last = this.minutes.at(-1)
    if (last?.time === minute) addTo(last, current)
    else this.minutes.push({ ...current, time: minute })
    if (this.minutes.length > MINUTES) this.minutes.shift()
    this.current = emptyTick(start)
    return this.current
  }

  private sampled(stands: boolean): boolean {
    if (stands) return ++this.notable <= NOTABLE_PER_SECOND
    if (this.passed++ % this.stride !== 0) return false
    return ++this.ordinary <= ORDINARY_PER_SECOND
  }

  private put(row: TrafficRow): void {
    // at the end of the map, where the newest are
    this.rows.delete(row.id)
    this.rows.set(row.id, { ...row, seq: ++this.seq })
    if (this.rows.size > (this.options.rows ?? ROWS))
      this.rows.delete(this.rows.keys().next().value!)
  }

  private shown(text: string): string | null {
    const { texts } = this.options
    if (texts === 'none') return null
    // more than is shown, so that nothing that is to be removed is cut in two
    const kept = printable(loggedText(text.slice(0, TEXT_READ), texts).text)
    return kept.length > TEXT_SHOWN ? `${kept.slice(0, TEXT_SHOWN)}…` : kept
  }

  private decisionRow({ decision, request, text, hash, time, shadow }: DecisionEvent): TrafficRow {
    const { router, fallback_reason: fallback } = decision
    return {
      ...{ id: decision.id, seq: 0, time, endpoint: 'route', key: null },
      ...{ router: router.name, version: router.version, model: decision.model },
      ...{ win_rate: decision.win_rate, threshold: decision.threshold },
      ...{ step: 'learned', reason: decision.reason, rule: null },
      flags: [
        ...(decision.fallback ? [`fallback: ${fallback ?? 'unknown'}`] : []),
        ...(decision.reason === 'explored' ? ['explored'] : []),
        ...(shadow ? ['shadow'] : []),
        ...(decision.audit ? ['audit'] : []),
        ...(decision.truncated ? ['truncated'] : []),
      ],
      ...{ decision_ms: decision.timing_ms, ms: null, first_byte_ms: null },
      ...{ cost_usd: null, saved_usd: null, status: null, code: null },
      ...{ session: request.session_id ?? null, trace: null, propensity: decision.propensity },
      ...{ text: this.shown(text), prompt_hash: hash.slice(0, 16), attempts: [], checks: [] },
    }
  }

  private requestRow({ request, plan }: Served): TrafficRow {
    const decision = plan.kind === 'serve' ? plan.decision : undefined
    return {
      ...{ id: decision?.id ?? request.id, seq: 0, time: request.time, endpoint: '', key: null },
      ...{ router: decision?.router.name ?? null, version: decision?.router.version ?? null },
      ...{ model: null, win_rate: decision?.win_rate ?? null },
      ...{ threshold: decision?.threshold ?? null, step: '', reason: '', rule: null },
      ...{ flags: [], decision_ms: decision?.timing_ms ?? null, ms: null, first_byte_ms: null },
      ...{ cost_usd: null, saved_usd: null, status: null, code: null },
      ...{ session: request.hints.session_id ?? null, trace: null, propensity: 1 },
      ...{ text: null, prompt_hash: null, attempts: [], checks: [] },
    }
  }

  private withServed(row: TrafficRow, served: Served): TrafficRow {
    const { request, plan, code } = served
    const first = plan.kind === 'serve' ? plan.targets[0]?.model : undefined
    const single = plan.kind === 'serve' && plan.strategy.kind === 'single'
    const failover = single && served.model !== undefined && first !== served.model
    const trace = request.headers.traceparent
    return {
      ...row,
      ...{ endpoint: served.endpoint, key: request.caller.name, model: served.model ?? null },
      ...{ step: plan.deciding.step, reason: plan.deciding.reason },
      rule: plan.deciding.name ?? null,
      flags: [
        ...row.flags,
        ...(code !== undefined || served.status >= 400 ? ['error'] : []),
        ...(failover ? ['failover'] : []),
        ...(plan.kind === 'refuse' ? ['refused'] : []),
        ...(single || plan.kind === 'refuse' ? [] : [plan.strategy.kind]),
      ],
      ms: rounded(served.milliseconds),
      first_byte_ms: served.firstByteMs === undefined ? null : rounded(served.firstByteMs),
      ...{ cost_usd: served.costUsd ?? null, saved_usd: served.savedUsd ?? null },
      ...{ status: served.status, code: code ?? null },
      trace:
        typeof trace === 'string'
          ? (/^[0-9a-f]{2}-([0-9a-f]{32})-/.exec(trace)?.[1] ?? null)
          : null,
      propensity: plan.kind === 'serve' ? plan.propensity : 1,
      attempts: served.attempts.map(({ model, upstream, outcome, milliseconds, costUsd }) => ({
        ...{ model, upstream, outcome, ms: rounded(milliseconds), cost_usd: costUsd ?? null },
      })),
      checks: served.trail.checks.map(({ check, model, score, passed }) => ({
        ...{ check, model, score, passed },
      })),
    }
  }
}

const emptyRow = (id: string, time: number): TrafficRow => ({
  ...{ id, seq: 0, time, endpoint: 'route', key: null, router: null, version: null, model: null },
  ...{ win_rate: null, threshold: null, step: '', reason: '', rule: null, flags: [] },
  ...{ decision_ms: null, ms: null, first_byte_ms: null, cost_usd: null, saved_usd: null },
  ...{ status: null, code: null, session: null, trace: null, propensity: 1 },
  ...{ text: null, prompt_hash: null, attempts: [], checks: [] },
})

const emptySpread = (): Spread => ({
  counts: new Array<number>(WIN_RATE_BINS).fill(0),
  priced: 0,
  strong_usd: new Array<number>(WIN_RATE_BINS).fill(0),
  weak_usd: new Array<number>(WIN_RATE_BINS).fill(0),
})

const rounded = (milliseconds: number): number => Math.round(milliseconds * 1000) / 1000

const emptyTick = (time: number): Tick => ({
  ...{ time, decisions: 0, strong: 0, requests: 0, errors: 0, fallbacks: 0 },
  ...{ cost_usd: 0, saved_usd: 0, decision_ms: 0, upstream_ms: 0 },
})

function addTo(total: Tick, tick: Tick): void {
  for (const name of Object.keys(tick) as (keyof Tick)[]) {
    if (name !== 'time') total[name] += tick[name]
  }
}

function sumOf([first, ...rest]: readonly [Tick, ...Tick[]]): Tick {
  const sum = { ...first }
  for (const tick of rest) addTo(sum, tick)
  return sum
}
