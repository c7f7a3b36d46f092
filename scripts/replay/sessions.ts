import { throwIfAborted } from '../../core/abort.ts'
import { definedOnly } from '../../core/defined.ts'
import { createRandom } from '../../core/random.ts'
import { percentileInterval } from '../../core/stats/intervals.ts'
import { turnCost, warmTokens } from '../../models/decision/session-cost.ts'
import type { Price } from '../../models/prices.ts'
import { feedbackWithinKeyShare } from '../../records/feedback/key-share.ts'
import { STUCK_SIGNS } from '../../serving/gateway/sessions.ts'
import type { LoggedRequest, LoggedRequests } from './rows.ts'

/** Sums over the turns that are known in all columns. */
export interface SessionFigures {
  readonly dollars: number
  /** share of the prompts' tokens that a provider's cache had */
  readonly cached: number
  /** turns that another model answered than the turn before */
  readonly switches: number
  /** that clients waited for whole answers */
  readonly seconds: number
  /** turns by model */
  readonly models: Readonly<Record<string, number>>
}

/** A share or difference with its 95% interval, which resamples sessions. */
export interface Estimate {
  readonly value: number
  readonly low: number
  readonly high: number
  /** on either side of a difference */
  readonly n: readonly [number, number]
}

export interface SessionReplay {
  readonly sessions: number
  readonly turns: number
  /** requests that name no session: each is one of its own */
  readonly unnamed: number
  /** answered turns without tokens or a price */
  readonly unpriced: number
  /** as billed */
  readonly billed: number | undefined
  /** the logged models with modelled caches, which shows how far these are off */
  readonly before: SessionFigures
  /** with the policy; absent without one */
  readonly after?: SessionFigures
  /** share of the dollars of `before` that the policy saves */
  readonly saved?: Estimate
  readonly measured: Measured
  readonly assumptions: readonly string[]
}

/** What the log says of the settings of a policy's `sessions`. */
export interface Measured {
  /** win rate that a model loses by taking a session over; undefined with fewer than 20 ratings on either side */
  readonly switchLoss: Estimate | undefined
  /** by sign: win rate of the strong model gained in the rest of a session that showed it */
  readonly stuck: Readonly<Record<string, Estimate>>
}

/** How the estimates' resampling is followed and ended. */
export interface Watch {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

interface Turn {
  readonly logged: LoggedRequest
  readonly time: number
  readonly model: string
  readonly input: number
  readonly output: number
  readonly seconds: number
  readonly billed: number | undefined
  /** the policy's model */
  readonly to: string
}

export interface SessionReplayOptions extends Watch {
  readonly prices: ReadonlyMap<string, Price>
  /** how long providers keep a prompt after it was read */
  readonly cacheMinutes: number
  /** by request id: the model that a policy asks; absent to look at the log alone */
  readonly planned?: ReadonlyMap<string, string | undefined> | undefined
}

/**
 * What the sessions of a log would have cost and waited under another policy. Prompts are the log's; answers of a model
 * that did not answer a turn have its mean length and mean time in the log.
 *
 * @throws cancelled if the signal is aborted
 */
export async function replaySessions(
  log: LoggedRequests,
  options: SessionReplayOptions,
): Promise<SessionReplay> {
  const { prices, planned } = options
  const lifetimeMs = options.cacheMinutes * 60_000
  const sessions = new Map<string, Turn[]>()
  const usual = new Map<string, { n: number; output: number; seconds: number }>()
  let unnamed = 0
  let unpriced = 0
  for (const logged of log.requests) {
    const turn = turnOf(logged, planned)
    if (!turn) continue
    const session = logged.gateway!.session_id
    if (session === undefined) unnamed++
    const key = JSON.stringify([logged.gateway!.key, session ?? `request ${logged.id}`])
    const turns = sessions.get(key)
    if (turns) turns.push(turn)
    else sessions.set(key, [turn])
    const its = usual.get(turn.model) ?? { n: 0, output: 0, seconds: 0 }
    its.n++
    its.output += turn.output
    its.seconds += turn.seconds
    usual.set(turn.model, its)
  }
  const assumed = new Set<string>()
  const priced: Turn[][] = []
  for (const turns of sessions.values()) {
    const known = turns.filter(({ model, to }) => prices.has(model) && prices.has(to))
    unpriced += turns.length - known.length
    if (known.length > 0) priced.push(known)
  }

  const run = (modelOf: (turn: Turn) => string) => {
    const perSession: number[] = []
    const models: Record<string, number> = {}
    let [cached, input, switches, seconds] = [0, 0, 0, 0]
    for (const turns of priced) {
      const read = new Map<string, { tokens: number; time: number }>()
      let dollars = 0
      let last: string | undefined
      for (const turn of turns) {
        const model = modelOf(turn)
        const mean = usual.get(model)
        if (model !== turn.model) {
          assumed.add(
            mean
              ? `${model}: where another model answered, its mean of ${(mean.output / mean.n).toFixed(0)} tokens and ${(mean.seconds / mean.n).toFixed(1)} s an answer in this log (${mean.n} answers)`
              : `${model}: no answers in this log, so the tokens and seconds of the model that answered`,
          )
        }
        const output = model === turn.model || !mean ? turn.output : mean.output / mean.n
        seconds += model === turn.model || !mean ? turn.seconds : mean.seconds / mean.n
        const its = read.get(model)
        const warm = warmTokens(
          its && { tokens: its.tokens, ageMs: turn.time - its.time },
          lifetimeMs,
        )
        dollars += turnCost(prices.get(model)!, turn.input, output, warm)
        cached += Math.min(warm, turn.input)
        input += turn.input
        read.set(model, { tokens: turn.input + output, time: turn.time })
        if (last !== undefined && last !== model) switches++
        last = model
        models[model] = (models[model] ?? 0) + 1
      }
      perSession.push(dollars)
    }
    const dollars = perSession.reduce((a, b) => a + b, 0)
    const figures = { dollars, cached: input > 0 ? cached / input : 0, switches, seconds, models }
    return { figures, perSession }
  }

  const before = run(({ model }) => model)
  const after = planned && run(({ to }) => to)
  const billed = priced.flat().map((turn) => turn.billed)
  const wanted = [
    ...(after ? [savedShare(before.perSession, after.perSession)] : []),
    ...measuredStatistics(log, prices),
  ]
  const estimates = await resampled(wanted, options)
  return {
    sessions: priced.length,
    turns: priced.reduce((sum, { length }) => sum + length, 0),
    unnamed,
    unpriced,
    billed: billed.includes(undefined)
      ? undefined
      : billed.reduce<number>((sum, usd) => sum + usd!, 0),
    before: before.figures,
    ...definedOnly({
      after: after?.figures,
      saved: estimates.get(SAVED),
    }),
    measured: {
      switchLoss: estimates.get(SWITCH_LOSS),
      stuck: Object.fromEntries([...estimates].filter(([name]) => !OWN_NAMES.has(name))),
    },
    assumptions: [
      `caches: a prompt is kept ${options.cacheMinutes} minutes after it was last read, by the model that read it`,
      ...assumed,
    ],
  }
}

/** An answered turn with its tokens; undefined if it is none. */
function turnOf(logged: LoggedRequest, planned: SessionReplayOptions['planned']): Turn | undefined {
  const { gateway, id } = logged
  if (!gateway || gateway.model === null || gateway.strategy !== 'single') return undefined
  const { model } = gateway
  const answer = gateway.attempts.findLast(
    (each) => each.outcome === 'answered' && each.model === model,
  )
  const { input_tokens: input, output_tokens: output } = answer ?? {}
  if (input === undefined || output === undefined) return undefined
  return {
    ...{ logged, model, input, output, time: gateway.time, billed: gateway.cost_usd },
    seconds: gateway.ms / 1000,
    to: planned ? (planned.get(id) ?? model) : model,
  }
}

const REPLICATES = 400
/** Replicates between two looks at the signal. */
const AT_ONCE = 8
const SAVED = 'saved'
const SWITCH_LOSS = 'switch_loss'
/** What is not a sign. */
const OWN_NAMES = new Set([SAVED, SWITCH_LOSS])

/** A function of sums over groups, which are sessions: what resampling needs of them. */
interface Statistic {
  readonly name: string
  readonly groups: number
  /** groups x width, row-major */
  readonly table: Float64Array
  readonly width: number
  /** of the sums of the columns; undefined where it is not defined */
  readonly of: (sums: Float64Array) => number | undefined
  readonly n: readonly [number, number]
}

/** Each statistic with its percentile interval over resampled groups, without those that are not defined often enough. */
async function resampled(
  statistics: readonly Statistic[],
  { signal, onProgress }: Watch,
): Promise<Map<string, Estimate>> {
  const found = new Map<string, Estimate>()
  const total = statistics.length * REPLICATES
  for (const [index, { name, groups, table, width, of, n }] of statistics.entries()) {
    const sums = new Float64Array(width)
    const statistic = (pick: (i: number) => number): number | undefined => {
      sums.fill(0)
      for (let i = 0; i < groups; i++) {
        const from = pick(i) * width
        for (let k = 0; k < width; k++) sums[k]! += table[from + k]!
      }
      return of(sums)
    }
    const value = statistic((i) => i)
    if (value === undefined) continue
    const random = createRandom(11)
    const samples = new Float64Array(REPLICATES)
    for (let r = 0; r < REPLICATES; r++) {
      samples[r] = statistic(() => random.int(groups)) ?? Number.NaN
      if (r % AT_ONCE > 0) continue
      onProgress?.(index * REPLICATES + r, total)
      // signals of the operating system are only seen between turns
      await new Promise((resume) => setImmediate(resume))
      throwIfAborted(signal)
    }
    const { low, high } = percentileInterval(value, samples)
    if (low !== null && high !== null) found.set(name, { value, low, high, n })
  }
  return found
}

/** Columns: dollars before and after. */
function savedShare(before: readonly number[], after: readonly number[]): Statistic {
  return {
    name: SAVED,
    groups: before.length,
    table: Float64Array.from(before.flatMap((dollars, i) => [dollars, after[i]!])),
    width: 2,
    of: ([a, b]) => (a! > 0 ? 1 - b! / a! : undefined),
    n: [before.length, before.length],
  }
}

/** Fewest ratings on each side of a difference. */
const ENOUGH = 20

interface Rated {
  readonly model: string
  readonly score: number
  readonly switched: boolean
  /** signs that the session showed before this answer */
  readonly signs: ReadonlySet<string>
}

/**
 * From the ratings of turns. Observed, not randomised: sessions that switch or get stuck may be harder than others. A loss
 * is compared within each model; a sign's gain is how much more the dearer half of the models is better by after it.
 */
function measuredStatistics(log: LoggedRequests, prices: ReadonlyMap<string, Price>): Statistic[] {
  const sums = new Map<string, { sum: number; n: number }>()
  for (const { decision_id: id, score } of feedbackWithinKeyShare(log.feedback)) {
    const its = sums.get(id) ?? { sum: 0, n: 0 }
    sums.set(id, { sum: its.sum + score, n: its.n + 1 })
  }
  // an answer that its client stopped may have another line, of the request after it
  const signsOf = new Map<string, readonly string[]>()
  for (const { decision_id: id, signs } of log.signals) {
    signsOf.set(id, [...(signsOf.get(id) ?? []), ...signs])
  }
  const states = new Map<string, { last: string | undefined; signs: Set<string>; rated: Rated[] }>()
  for (const { id, gateway } of log.requests) {
    const { session_id: session, model } = gateway ?? {}
    if (session === undefined || model === null || model === undefined) continue
    const key = JSON.stringify([gateway!.key, session])
    const state = states.get(key) ?? { last: undefined, signs: new Set<string>(), rated: [] }
    states.set(key, state)
    const said = sums.get(id) ?? sums.get(gateway!.decision_id ?? '')
    if (said && state.last !== undefined) {
      const switched = state.last !== model
      state.rated.push({ model, score: said.sum / said.n, switched, signs: new Set(state.signs) })
    }
    state.last = model
    for (const sign of signsOf.get(id) ?? []) state.signs.add(sign)
  }
  const groups = [...states.values()].map(({ rated }) => rated).filter(({ length }) => length > 0)
  const dear = dearModels(groups.flat(), prices)
  const signs = new Set(groups.flat().flatMap((one) => [...one.signs]))
  return [
    switchLossOf(groups),
    ...[...signs].map((sign) => stuckGainOf(sign, groups, dear)),
  ].filter(({ n }) => Math.min(...n) >= ENOUGH)
}

/** The models that cost more than the mean of those in these turns. */
function dearModels(
  rated: readonly Rated[],
  prices: ReadonlyMap<string, Price>,
): ReadonlySet<string> {
  const models = [...new Set(rated.map(({ model }) => model))].filter((model) => prices.has(model))
  const costs = models.map((model) => prices.get(model)!.input + prices.get(model)!.output)
  const mean = costs.reduce((a, b) => a + b, 0) / Math.max(1, costs.length)
  return new Set(models.filter((_, i) => costs[i]! > mean))
}

/** Half of how much lower a model's ratings are where it took a session over, as a mean over models. */
function switchLossOf(groups: readonly (readonly Rated[])[]): Statistic {
  const models = [...new Set(groups.flat().map(({ model }) => model))]
  const at = new Map(models.map((model, i) => [model, i]))
  return cellStatistic(
    SWITCH_LOSS,
    groups,
    2 * models.length,
    ({ model, switched }) => 2 * at.get(model)! + (switched ? 1 : 0),
    ({ switched }) => !switched,
    (mean, count) => {
      let [sum, weight] = [0, 0]
      for (let i = 0; i < models.length; i++) {
        const [kept, taken] = [mean(2 * i), mean(2 * i + 1)]
        if (kept === undefined || taken === undefined) continue
        const n = count(2 * i + 1)
        sum += (n * (kept - taken)) / 2
        weight += n
      }
      return weight > 0 ? sum / weight : undefined
    },
  )
}

/** How much more the dearer models are better by after a sign, halved: in win rate. */
function stuckGainOf(
  sign: string,
  groups: readonly (readonly Rated[])[],
  dear: ReadonlySet<string>,
): Statistic {
  const shown = ({ signs }: Rated): boolean => signs.has(sign)
  return cellStatistic(
    sign,
    groups,
    4,
    (row) => (shown(row) ? 2 : 0) + (dear.has(row.model) ? 1 : 0),
    shown,
    (mean) => {
      const [weak, strong, stuckWeak, stuckStrong] = [mean(0), mean(1), mean(2), mean(3)]
      if (weak === undefined || strong === undefined) return undefined
      if (stuckWeak === undefined || stuckStrong === undefined) return undefined
      return (stuckStrong - stuckWeak - (strong - weak)) / 2
    },
  )
}

/** A statistic of the mean ratings in cells, and of how many there are. */
function cellStatistic(
  name: string,
  groups: readonly (readonly Rated[])[],
  cells: number,
  cellOf: (row: Rated) => number,
  inside: (row: Rated) => boolean,
  of: (
    mean: (cell: number) => number | undefined,
    count: (cell: number) => number,
  ) => number | undefined,
): Statistic {
  const width = 2 * cells
  const table = new Float64Array(groups.length * width)
  let n = 0
  let all = 0
  groups.forEach((rows, i) => {
    for (const row of rows) {
      const at = i * width + 2 * cellOf(row)
      table[at]! += row.score
      table[at + 1]!++
      all++
      if (inside(row)) n++
    }
  })
  return {
    ...{ name, groups: groups.length, table, width, n: [n, all - n] },
    of: (sums) =>
      of(
        (cell) => (sums[2 * cell + 1]! > 0 ? sums[2 * cell]! / sums[2 * cell + 1]! : undefined),
        (cell) => sums[2 * cell + 1]!,
      ),
  }
}

/** The fields of a policy's `sessions` that a log measures. */
export interface MeasuredSettings {
  readonly switch_loss?: number
  readonly stuck?: Readonly<Record<string, number>>
}

/** Width of an interval from which it says less than the default of 0.1 does. */
const VAGUE = 0.2

/**
 * What was measured, as settings of a policy's `sessions`: rounded to thousandths and never below 0. A figure whose interval is
 * wider than 0.2 and contains 0 is left out.
 */
export function measuredSettings({ switchLoss, stuck }: Measured): MeasuredSettings {
  const settingOf = (its: Estimate | undefined): number | undefined =>
    its === undefined || (its.high - its.low > VAGUE && its.low <= 0)
      ? undefined
      : Math.round(1000 * Math.max(0, Math.min(1, its.value))) / 1000
  const gains = STUCK_SIGNS.flatMap((sign) => {
    const gain = settingOf(stuck[sign])
    return gain === undefined ? [] : [[sign, gain] as const]
  })
  return definedOnly({
    switch_loss: settingOf(switchLoss),
    stuck: gains.length > 0 ? Object.fromEntries(gains) : undefined,
  })
}
