import { toBillionths } from './nanodollars.ts'
import { dayOf } from './period.ts'
import type { SpendLine } from './spend-line.ts'

export const SPEND_GROUPS = ['key', 'route', 'model', 'day'] as const
export type SpendGroup = (typeof SPEND_GROUPS)[number]

/** Sums over some requests; dollars to the billionth. */
export interface SpendSums {
  requests: number
  attempts: number
  input_tokens: number
  output_tokens: number
  cached_tokens: number
  cost_usd: number
  saved_usd: number
  uncounted: number
}

/** One cell: what was spent on a day of UTC under these names. */
export interface SpendCell extends SpendSums {
  readonly day: string
  readonly key: string
  readonly route: string
  readonly model: string
}

export interface SpendRow extends SpendSums {
  /** a key, route, model or day */
  readonly name: string
}

/** Cells kept; what does not fit is summed under the key and route `other`. */
const CELLS = 10_000

/** Spending by day, key, route and model, in bounded memory. */
export class SpendTable {
  readonly #cells = new Map<string, SpendCell>()
  readonly #most: number

  constructor(most = CELLS) {
    this.#most = most
  }

  get cells(): SpendCell[] {
    return [...this.#cells.values()]
  }

  add(line: SpendLine): void {
    const { time, key, route, model, cached_tokens = 0, saved_usd = 0, uncounted = 0 } = line
    const { requests, attempts, input_tokens, output_tokens, cost_usd } = line
    // field by field: this is done for every request
    addSums(this.#cell({ day: dayOf(time), key, route, model }), {
      requests,
      attempts,
      input_tokens,
      output_tokens,
      cached_tokens,
      cost_usd,
      saved_usd,
      uncounted,
    })
  }

  /** Another process's cells. */
  merge(cells: readonly SpendCell[]): void {
    for (const cell of cells) addSums(this.#cell(cell), cell)
  }

  /** Sums by one of the names, the dearest first; days in their order. */
  by(group: SpendGroup): SpendRow[] {
    const rows = new Map<string, SpendRow>()
    for (const cell of this.#cells.values()) {
      const name = cell[group]
      let row = rows.get(name)
      if (!row) {
        row = { name, ...noSums() }
        rows.set(name, row)
      }
      addSums(row, cell)
    }
    return [...rows.values()].sort((a, b) =>
      group === 'day'
        ? a.name < b.name
          ? -1
          : 1
        : b.cost_usd - a.cost_usd || (a.name < b.name ? -1 : 1),
    )
  }

  #cell(named: Pick<SpendCell, 'day' | 'key' | 'route' | 'model'>): SpendCell {
    const { day, key, route, model } = named
    const id = `${day}\u0000${key}\u0000${route}\u0000${model}`
    const known = this.#cells.get(id)
    if (known) return known
    if (this.#cells.size >= this.#most && !(key === OTHER && route === OTHER)) {
      return this.#cell({ day, key: OTHER, route: OTHER, model })
    }
    const cell = { day, key, route, model, ...noSums() }
    this.#cells.set(id, cell)
    return cell
  }
}

const OTHER = 'other'

export const noSums = (): SpendSums => ({
  requests: 0,
  attempts: 0,
  input_tokens: 0,
  output_tokens: 0,
  cached_tokens: 0,
  cost_usd: 0,
  saved_usd: 0,
  uncounted: 0,
})

const FIELDS = Object.keys(noSums()) as (keyof SpendSums)[]

export function addSums(to: SpendSums, from: SpendSums): void {
  for (const field of FIELDS) to[field] += from[field]
  to.cost_usd = toBillionths(to.cost_usd)
  to.saved_usd = toBillionths(to.saved_usd)
}
