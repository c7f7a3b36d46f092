import type { LogLine } from '../../records/log-reader.ts'

/** What another threshold would have changed in a log. */
export interface Replay {
  readonly decisions: number
  /** without a win rate, or not decided by the threshold: counted as unchanged */
  readonly untouched: number
  readonly changed: number
  readonly before: Readonly<Record<string, number>>
  readonly after: Readonly<Record<string, number>>
  /** US dollars in total, by each model's mean logged cost; undefined if a model has none */
  readonly usdBefore: number | undefined
  readonly usdAfter: number | undefined
}

/** Repeats each logged decision with its win rate and the new threshold. Shadows are left out. */
export async function replay(lines: AsyncIterable<LogLine>, threshold: number): Promise<Replay> {
  const rows: { router: string; model: string; reason: string; winRate: number | null }[] = []
  const pairs = new Map<string, { strong?: string; weak?: string }>()
  const models = new Map<string, string>()
  /** what the gateway billed; without a gateway, the cost in the feedback */
  const billed: Costs = new Map()
  const reported: Costs = new Map()
  for await (const { record } of lines) {
    if (record.object === 'decision' && !record.shadow) {
      const { router, model, reason, win_rate: winRate } = record
      rows.push({ router, model, reason, winRate })
      models.set(record.id, model)
      const pair = pairs.get(router) ?? {}
      if (reason === 'win_rate_reached') pair.strong = model
      if (reason === 'win_rate_below') pair.weak = model
      pairs.set(router, pair)
    } else if (record.object === 'gateway') {
      for (const { model, cost_usd: usd } of record.attempts) {
        if (usd !== undefined) addCost(billed, model, usd)
      }
    } else if (record.object === 'feedback' && record.cost_usd !== undefined) {
      const model = record.model ?? models.get(record.decision_id)
      if (model === undefined) continue
      addCost(reported, model, record.cost_usd)
    }
  }
  const before: Record<string, number> = {}
  const after: Record<string, number> = {}
  let changed = 0
  let untouched = 0
  for (const { router, model, reason, winRate } of rows) {
    const { strong, weak } = pairs.get(router)!
    const free = reason === 'win_rate_reached' || reason === 'win_rate_below'
    const next = winRate === null || !free ? undefined : winRate >= threshold ? strong : weak
    if (next === undefined) untouched++
    if (next !== undefined && next !== model) changed++
    before[model] = (before[model] ?? 0) + 1
    after[next ?? model] = (after[next ?? model] ?? 0) + 1
  }
  const dollars = (counts: Readonly<Record<string, number>>): number | undefined => {
    let sum = 0
    for (const [model, n] of Object.entries(counts)) {
      const cost = billed.get(model) ?? reported.get(model)
      if (!cost) return undefined
      sum += (n * cost.sum) / cost.n
    }
    return sum
  }
  const money = { usdBefore: dollars(before), usdAfter: dollars(after) }
  return { decisions: rows.length, untouched, changed, before, after, ...money }
}

type Costs = Map<string, { readonly sum: number; readonly n: number }>

function addCost(costs: Costs, model: string, usd: number): void {
  const { sum, n } = costs.get(model) ?? { sum: 0, n: 0 }
  costs.set(model, { sum: sum + usd, n: n + 1 })
}
