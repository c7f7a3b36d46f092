import { createRandom, type Random } from '../../core/random.ts'
import { chooseInSession, turnCost } from '../../models/decision/session-cost.ts'
import type { Price } from '../../models/prices.ts'

/**
 * `npm run eval:sessions`: simulated agent sessions, and what they cost under four ways of choosing between a strong and a
 * weak model, with the providers' caches modelled. `--json` prints the figures as one object.
 *
 * Sessions have the shape of SWE-agent's runs (Yang et al., "SWE-agent: Agent-Computer Interfaces Enable Automated
 * Software Engineering", NeurIPS 2024, section 5.2): a median of 12 steps and 1.21 dollars for solved tasks at $10 a million tokens,
 * which is about 110,000 tokens of prompts: 3,500 at first and 1,000 more with each step. That one step in five is
 * a person's message (after 4 minutes on average, the others after 15 seconds), how hard tasks are, and how well the
 * router sees it are assumptions of this script, not data.
 */

const SESSIONS = 1500
const SEED = 20_260_101
/** Share of what the strong model is better by that must be kept. */
const KEPT = 0.95
const FIRST_TOKENS = 3500
const GROWTH_TOKENS = 1000
const ANSWER_TOKENS = 300
const SWITCH_LOSS = 0.02

interface Turn {
  /** true chance that the strong model's answer is the better one */
  readonly truth: number
  /** the router's */
  readonly winRate: number
  readonly gapMs: number
  /** results of tools came last, not a person's message */
  readonly tool: boolean
}
type Session = readonly Turn[]

interface Provider {
  readonly name: string
  readonly strong: Price
  readonly weak: Price
  readonly lifetimeMs: number
}

/** List prices and cache lifetimes as the providers state them (2025). */
const PROVIDERS: readonly Provider[] = [
  {
    name: 'Anthropic (Sonnet 4.5, Haiku 4.5)',
    strong: { input: 3, output: 15, cached_input: 0.3, cache_write: 3.75 },
    weak: { input: 1, output: 5, cached_input: 0.1, cache_write: 1.25 },
    lifetimeMs: 5 * 60_000,
  },
  {
    name: 'OpenAI (GPT-5, GPT-5 mini)',
    strong: { input: 1.25, output: 10, cached_input: 0.125 },
    weak: { input: 0.25, output: 2, cached_input: 0.025 },
    lifetimeMs: 10 * 60_000,
  },
]

interface Setting {
  readonly name: string
  /** the true lifetime over the one that is assumed */
  readonly lifetime: number
  /** the assumed growth over the true one */
  readonly growth: number
  /** chance that a provider has dropped a prompt early */
  readonly evicted: number
}

const SETTINGS: readonly Setting[] = [
  { name: 'as assumed', lifetime: 1, growth: 1, evicted: 0 },
  { name: 'caches live half as long', lifetime: 0.5, growth: 1, evicted: 0 },
  { name: 'caches live twice as long', lifetime: 2, growth: 1, evicted: 0 },
  { name: 'growth thought half', lifetime: 1, growth: 0.5, evicted: 0 },
  { name: 'growth thought twice', lifetime: 1, growth: 2, evicted: 0 },
  { name: '20% dropped early', lifetime: 1, growth: 1, evicted: 0.2 },
]

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

function simulate(seed: number): Session[] {
  const random = createRandom(seed)
  return Array.from({ length: SESSIONS }, () => {
    const steps = Math.max(1, Math.min(100, Math.round(12 * Math.exp(0.8 * random.normal()))))
    const task = 0.6 + random.normal()
    return Array.from({ length: steps }, (_, i) => {
      const tool = i > 0 && random.next() >= 0.2
      const logit = task + 0.7 * random.normal()
      return {
        truth: sigmoid(logit),
        winRate: sigmoid(logit + 0.7 * random.normal()),
        gapMs: -Math.log(1 - random.next()) * (tool ? 15_000 : 240_000),
        tool,
      }
    })
  })
}

type Name = 'strong' | 'weak'

/** What a way of choosing knows. */
interface Known {
  readonly turn: Turn
  readonly i: number
  readonly last: Name | undefined
  readonly meanWinRate: number
  readonly tokens: number
  readonly warm: Readonly<
    Record<Name, { readonly tokens: number; readonly ageMs: number } | undefined>
  >
  readonly threshold: number
  readonly provider: Provider
  readonly setting: Setting
}
type Choice = (known: Known) => Name

const alone = ({ turn, threshold }: Known): Name => (turn.winRate >= threshold ? 'strong' : 'weak')

const WAYS: Readonly<Record<string, Choice>> = {
  'per request': alone,
  sticky: (known) => {
    const { turn, last, threshold } = known
    return last !== undefined && Math.abs(turn.winRate - threshold) <= 0.1 ? last : alone(known)
  },
  sessions: (known) => {
    const { turn, last, i, meanWinRate, tokens, warm, threshold, provider, setting } = known
    if (last === undefined) return alone(known)
    if (turn.tool) return last
    return chooseInSession({
      winRate: turn.winRate,
      meanWinRate,
      threshold,
      last,
      switchLoss: SWITCH_LOSS,
      strong: { price: provider.strong, warm: warm.strong },
      weak: { price: provider.weak, warm: warm.weak },
      turn: {
        promptTokens: tokens,
        answerTokens: ANSWER_TOKENS,
        growthTokens: GROWTH_TOKENS * setting.growth,
        turns: Math.min(10, i + 5),
        lifetimeMs: provider.lifetimeMs,
      },
    })
  },
}

interface Result {
  readonly dollars: number
  /** of the answers, over those of the weak model */
  readonly quality: number
}

/** One session under a way of choosing. The cache is as the setting has it, whatever is assumed. */
function run(
  session: Session,
  choice: Choice,
  threshold: number,
  provider: Provider,
  setting: Setting,
  random: Random,
): Result {
  const read: Record<Name, { tokens: number; at: number } | undefined> = {
    strong: undefined,
    weak: undefined,
  }
  let now = 0
  let dollars = 0
  let quality = 0
  let last: Name | undefined
  let sum = 0
  for (const [i, turn] of session.entries()) {
    now += turn.gapMs
    const tokens = FIRST_TOKENS + i * GROWTH_TOKENS
    const warmOf = (name: Name) => {
      const its = read[name]
      return its && { tokens: its.tokens, ageMs: now - its.at }
    }
    const warm = { strong: warmOf('strong'), weak: warmOf('weak') }
    const meanWinRate = i === 0 ? turn.winRate : sum / i
    const model = choice({ turn, i, last, meanWinRate, tokens, warm, threshold, provider, setting })
    const its = warm[model]
    const held =
      its && its.ageMs < provider.lifetimeMs * setting.lifetime && random.next() >= setting.evicted
    dollars += turnCost(provider[model], tokens, ANSWER_TOKENS, held ? its.tokens : 0)
    if (model === 'strong') quality += 2 * turn.truth - 1
    if (last !== undefined && last !== model) quality -= SWITCH_LOSS
    read[model] = { tokens: tokens + ANSWER_TOKENS, at: now }
    last = model
    sum += turn.winRate
  }
  return { dollars, quality }
}

function all(
  sessions: readonly Session[],
  choice: Choice,
  threshold: number,
  provider: Provider,
  setting: Setting,
): Result[] {
  const random = createRandom(7)
  return sessions.map((session) => run(session, choice, threshold, provider, setting, random))
}

const total = (results: readonly Result[], field: keyof Result): number =>
  results.reduce((sum, result) => sum + result[field], 0)

const THRESHOLDS = Array.from({ length: 27 }, (_, i) => 0.15 + i * 0.03)

/** What a way saves at the same quality as the others, and how much more than sticky sessions it saves. */
export interface EqualFigure {
  readonly provider: string
  readonly setting: string
  readonly way: string
  readonly saved: Interval
  /** the same sessions drawn for both; undefined for sticky itself */
  readonly overSticky: Interval | undefined
}

interface Interval {
  readonly value: number
  readonly low: number
  readonly high: number
}

export interface SessionFigure {
  readonly provider: string
  readonly setting: string
  readonly way: string
  readonly threshold: number
  /** share of always-strong's dollars that was saved, and its 95% interval */
  readonly saved: number
  readonly low: number
  readonly high: number
  /** share of the strong model's gain that was kept, on sessions that the threshold was not chosen on */
  readonly kept: number
}

/** Each way at the threshold that is cheapest among those that keep enough on other sessions. */
export function sessionFigures(): SessionFigure[] {
  const [fit, test] = [simulate(SEED), simulate(SEED + 1)]
  const figures: SessionFigure[] = []
  for (const provider of PROVIDERS) {
    for (const [way, choice] of Object.entries(WAYS)) {
      for (const setting of SETTINGS) {
        const strong = total(
          all(fit, () => 'strong', 0, provider, setting),
          'quality',
        )
        const able = THRESHOLDS.map((threshold) => {
          const results = all(fit, choice, threshold, provider, setting)
          const [quality, dollars] = [total(results, 'quality'), total(results, 'dollars')]
          return { threshold, quality, dollars }
        }).filter(({ quality }) => quality >= KEPT * strong)
        const { threshold } = able.reduce((a, b) => (b.dollars < a.dollars ? b : a))
        const base = all(test, () => 'strong', 0, provider, setting)
        const its = all(test, choice, threshold, provider, setting)
        figures.push({
          provider: provider.name,
          setting: setting.name,
          way,
          threshold,
          ...savedInterval(base, its),
          kept: total(its, 'quality') / total(base, 'quality'),
        })
      }
    }
  }
  return figures
}

/** The share saved, with a percentile interval of 400 bootstrap samples of sessions. */
function savedInterval(
  base: readonly Result[],
  its: readonly Result[],
): { saved: number; low: number; high: number } {
  const random = createRandom(11)
  const share = (pick: (i: number) => number): number => {
    let [a, b] = [0, 0]
    for (let i = 0; i < base.length; i++) {
      const at = pick(i)
      a += base[at]!.dollars
      b += its[at]!.dollars
    }
    return 1 - b / a
  }
  const samples = Array.from({ length: 400 }, () =>
    share(() => Math.floor(random.next() * base.length)),
  ).sort((x, y) => x - y)
  return { saved: share((i) => i), low: samples[10]!, high: samples[389]! }
}

/**
 * The dollars that each way saves where it keeps 95% of the strong model's gain on the sessions that are paid for, between the
 * two thresholds on either side: a comparison of the ways, and not of how well a threshold carries over to other sessions.
 */
export function equalFigures(): EqualFigure[] {
  const test = simulate(SEED + 1)
  const n = test.length
  const figures: EqualFigure[] = []
  for (const provider of PROVIDERS) {
    for (const setting of SETTINGS) {
      const base = all(test, () => 'strong', 0, provider, setting)
      const curves = Object.entries(WAYS).map(([way, choice]) => ({
        way,
        points: THRESHOLDS.map((threshold) => all(test, choice, threshold, provider, setting)),
      }))
      const savedBy = (rows: Int32Array): number[] => {
        const sum = (results: readonly Result[], field: keyof Result): number => {
          let total = 0
          for (const row of rows) total += results[row]![field]
          return total
        }
        const wanted = KEPT * sum(base, 'quality')
        const paid = sum(base, 'dollars')
        return curves.map(({ points }) => {
          const at = points.map((results) => [sum(results, 'quality'), sum(results, 'dollars')])
          let least = Number.POSITIVE_INFINITY
          for (const [i, [quality, dollars]] of at.entries()) {
            if (quality! < wanted) continue
            least = Math.min(least, dollars!)
            const [less, cheaper] = at[i + 1] ?? [wanted, 0]
            if (i + 1 === at.length || less! >= wanted) continue
            const share = (quality! - wanted) / (quality! - less!)
            least = Math.min(least, dollars! + share * (cheaper! - dollars!))
          }
          return 1 - least / paid
        })
      }
      const random = createRandom(11)
      const values = savedBy(Int32Array.from({ length: n }, (_, i) => i))
      const samples = Array.from({ length: 200 }, () =>
        savedBy(Int32Array.from({ length: n }, () => random.int(n))),
      )
      const interval = (of: (saved: readonly number[]) => number): Interval => {
        const drawn = samples.map(of).sort((a, b) => a - b)
        return { value: of(values), low: drawn[5]!, high: drawn[194]! }
      }
      const sticky = curves.findIndex(({ way }) => way === 'sticky')
      for (const [k, { way }] of curves.entries()) {
        figures.push({
          ...{ provider: provider.name, setting: setting.name, way },
          saved: interval((saved) => saved[k]!),
          overSticky: k === sticky ? undefined : interval((saved) => saved[k]! - saved[sticky]!),
        })
      }
    }
  }
  return figures
}

function main(): void {
  const figures = sessionFigures()
  const equal = equalFigures()
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify({ figures, equal }))
    return
  }
  const percent = (share: number): string => `${(100 * share).toFixed(1)}%`
  for (const { name } of PROVIDERS) {
    console.log(`\n${name}: dollars saved against always-strong, [95% interval], of its gain kept`)
    for (const setting of SETTINGS) {
      const row = figures.filter((each) => each.provider === name && each.setting === setting.name)
      const cells = row.map(
        ({ way, saved, low, high, kept }) =>
          `${way} ${percent(saved)} [${percent(low)}, ${percent(high)}] ${percent(kept)}`,
      )
      console.log(`  ${setting.name.padEnd(26)} ${cells.join(' | ')}`)
    }
    console.log(`\n${name}: saved where each keeps 95% of the gain; more than sticky`)
    for (const setting of SETTINGS) {
      const row = equal.filter((each) => each.provider === name && each.setting === setting.name)
      const shown = ({ value, low, high }: Interval): string =>
        `${percent(value)} [${percent(low)}, ${percent(high)}]`
      const cells = row.map(
        ({ way, saved, overSticky }) =>
          `${way} ${shown(saved)}${overSticky ? `; ${shown(overSticky)}` : ''}`,
      )
      console.log(`  ${setting.name.padEnd(26)} ${cells.join(' | ')}`)
    }
  }
}

if (process.argv[1]?.endsWith('sessions.ts')) main()
