import type { Decision } from '../models/decision.ts'
import type { LiveRouter } from './fleet/live-router.ts'
import { LeanHistogram } from './lean-metric.ts'

/** From 100 microseconds to a second. */
const SECONDS = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1]
const WIN_RATES = Array.from({ length: 19 }, (_, i) => Math.round((i + 1) * 5) / 100)

/** What is counted of one router, over all its versions: plain numbers, as this is on every request's way. */
export interface RouterCounts {
  readonly decided: Map<string, { model: string; reason: string; shadow: boolean; count: number }>
  readonly fallbacks: Map<string, { count: number }>
  readonly cache: Map<string, { count: number }>
  readonly seconds: LeanHistogram
  readonly winRates: LeanHistogram
  cost: number
  saved: number
}

export function newCounts(): RouterCounts {
  return {
    decided: new Map(),
    fallbacks: new Map(),
    cache: new Map([
      ['hit', { count: 0 }],
      ['miss', { count: 0 }],
    ]),
    seconds: new LeanHistogram(SECONDS),
    winRates: new LeanHistogram(WIN_RATES),
    cost: 0,
    saved: 0,
  }
}

export function countDecision(
  counts: RouterCounts,
  { model, reason }: Decision,
  shadow: boolean,
): void {
  const key = shadow ? `${model}\n${reason}\nshadow` : `${model}\n${reason}`
  const known = counts.decided.get(key)
  if (known) known.count++
  else counts.decided.set(key, { model, reason, shadow, count: 1 })
}

export function countDollars(
  counts: RouterCounts,
  live: LiveRouter,
  { candidates }: Decision,
): void {
  const paid = candidates[0]!.est_cost_usd
  if (paid === null) return
  for (const { model, est_cost_usd: full } of candidates) {
    if (model !== live.strong || full === null) continue
    counts.cost += paid
    if (full > paid) counts.saved += full - paid
  }
}
