import { createRandom, deriveSeed } from '../../../core/random.ts'
import { BudgetPacer } from '../../../models/online/budget-pacer.ts'
import type { LoopTable } from './routers.ts'

/** Spending relative to a budget over 10,000 requests, and the quality it bought. */
export interface PacingFigures {
  /** dollars spent over the budget, less 1; the worst of the budgets */
  readonly overshoot: number
  readonly rows: readonly {
    readonly share: number
    readonly spent: number
    readonly quality: number
    /** a coin with the same spending */
    readonly random: number
  }[]
}

const REQUESTS = 10_000
const WEAK_USD = 0.0002
const STRONG_USD = 0.004

/**
 * Budgets that pay for these numbers of strong calls; answer lengths, and so costs, vary by half either way.
 */
export function simulatePacing(table: LoopTable, seed: number): PacingFigures {
  const rows = [0.1, 0.3, 0.6].map((share) => {
    const random = createRandom(deriveSeed(seed, `pacing ${share}`))
    const perRequest = WEAK_USD + share * (STRONG_USD - WEAK_USD)
    const pacer = new BudgetPacer({ perRequest })
    let spent = 0
    let quality = 0
    let coin = 0
    for (let k = 0; k < REQUESTS; k++) {
      const i = random.int(table.strong.length)
      const cost = STRONG_USD * (0.5 + random.next())
      pacer.begin()
      const strong = pacer.buys(2 * table.candidate.winRate[i]! - 1, cost - WEAK_USD, cost)
      const dollars = strong ? cost : WEAK_USD
      pacer.spend(dollars)
      spent += dollars
      quality += (strong ? table.strong[i]! : table.weak[i]!) / REQUESTS
      coin += (share * table.strong[i]! + (1 - share) * table.weak[i]!) / REQUESTS
    }
    return { share, spent: spent / (perRequest * REQUESTS), quality, random: coin }
  })
  return { overshoot: Math.max(...rows.map(({ spent }) => spent)) - 1, rows }
}
