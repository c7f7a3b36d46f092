import { definedOnly } from '../../core/defined.ts'
import { createRandom } from '../../core/random.ts'
import { percentileInterval } from '../../core/stats/intervals.ts'
import { turnCost, warmTokens } from '../../models/decision/session-cost.ts'
import type { Price } from '../../models/prices.ts'
import { feedbackWithinKeyShare } from '../../records/feedback/key-share.ts'
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

export interface SessionReplayOptions {
  readonly prices: ReadonlyMap<string, Price>
  /** how long providers keep a prompt after it was read */
  readonly cacheMinutes: number
  /** by request id: the model that a policy asks; absent to look at the log alone */
  readonly planned?: ReadonlyMap<string, string | undefined> | undefined
}

/**
 * What the sessions of a log would have cost and waited under another policy. Prompts are the log's; answers of a model
 * that did not answer a turn have its mean length and mean time in the log.
 */
export function replaySessions(log: LoggedRequests, options: SessionReplayOptions): SessionReplay {
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
      saved: after && savedShare(before.perSession, after.perSession),
    }),
    measured: measuredOf(log, prices),
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

/** The statistic with the percentile interval over resampled groups; undefined if it is not defined in too many samples. */
function resampled(
  groups: number,
  statistic: (pick: (i: number) => number) => number | undefined,
): Omit<Estimate, 'n'> | undefined {
  const value = statistic((i) => i)
  if (value === undefined) return undefined
  const random = createRandom(11)
  const samples = Float64Array.from(
    { length: REPLICATES },
    () => statistic(() => random.int(groups)) ?? Number.NaN,
  )
  const { low, high } = percentileInterval(value, samples)
  return low === null || high === null ? undefined : { value, low, high }
}

function savedShare(before: readonly number[], after: readonly number[]): Estimate | undefined {
  const share = resampled(before.length, (pick) => {
    let [a, b] = [0, 0]
    for (let i = 0; i < before.length; i++) {
      const at = pick(i)
      a += before[at]!
      b += after[at]!
    }
    return a > 0 ? 1 - b / a : undefined
  })
  return share && { ...share, n: [before.length, before.length] }
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
function measuredOf(log: LoggedRequests, prices: ReadonlyMap<string, Price>): Measured {
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
  const stuck: Record<string, Estimate> = {}
  for (const sign of signs) {
    const gain = difference(
      groups,
      (one) => one.signs.has(sign),
      (rows) => {
        const strong = meanOf(rows.filter(({ model }) => dear.has(model)))
        const weak = meanOf(rows.filter(({ model }) => !dear.has(model)))
        return strong === undefined || weak === undefined ? undefined : (strong - weak) / 2
      },
    )
    if (gain) stuck[sign] = gain
  }
  return { switchLoss: switchLossOf(groups), stuck }
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

const meanOf = (rows: readonly Rated[]): number | undefined =>
  rows.length === 0 ? undefined : rows.reduce((sum, { score }) => sum + score, 0) / rows.length

/** Half of how much lower a model's ratings are where it took a session over, as a mean over models. */
function switchLossOf(groups: readonly (readonly Rated[])[]): Estimate | undefined {
  return difference(
    groups,
    ({ switched }) => !switched,
    undefined,
    (after, before) => {
      let [sum, weight] = [0, 0]
      for (const model of new Set(before.map((one) => one.model))) {
        const own = (rows: readonly Rated[]) => rows.filter((one) => one.model === model)
        const [kept, taken] = [meanOf(own(after)), meanOf(own(before))]
        if (kept === undefined || taken === undefined) continue
        const n = own(before).length
        sum += (n * (kept - taken)) / 2
        weight += n
      }
      return weight > 0 ? sum / weight : undefined
    },
  )
}

/** A statistic of the rows inside less that of the rows outside, or one of both together; undefined with too few. */
function difference(
  groups: readonly (readonly Rated[])[],
  inside: (row: Rated) => boolean,
  statistic: ((rows: readonly Rated[]) => number | undefined) | undefined,
  both = (a: readonly Rated[], b: readonly Rated[]): number | undefined => {
    const [x, y] = [statistic!(a), statistic!(b)]
    return x === undefined || y === undefined ? undefined : x - y
  },
): Estimate | undefined {
  const all = groups.flat()
  const n = [all.filter(inside).length, all.filter((row) => !inside(row)).length] as const
  if (Math.min(...n) < ENOUGH) return undefined
  const found = resampled(groups.length, (pick) => {
    const rows = groups.flatMap((_, i) => groups[pick(i)]!)
    return both(
      rows.filter(inside),
      rows.filter((row) => !inside(row)),
    )
  })
  return found && { ...found, n }
}
