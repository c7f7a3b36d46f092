import type { Dataset } from '../../data/dataset/dataset.ts'
import { promptCharacters } from '../../models/reading/recipe.ts'

/** Single answers of a pair's models: one entry per prompt that exactly one of the two answered. */
export interface SingleAnswers {
  /** indices into the dataset's prompts, ascending */
  readonly prompts: Int32Array
  /** 1 if the strong model answered */
  readonly strong: Uint8Array
  /** 1 if the answer has a score */
  readonly rated: Uint8Array
}

/** A part of the log that one of the models never answered, or where no answer was ever rated. */
export interface Region {
  /** in words, such as `prompts over 2,000 characters were never answered by small-1 (412 prompts)` */
  readonly words: string
  /** indices into the single answers */
  readonly rows: readonly number[]
}

/** Smaller parts are not named. */
const LEAST_REGION = 50
/** A part counts as never answered if chance would leave it unanswered with at most this probability. */
const BY_CHANCE = 1e-4

/**
 * Parts of the log that one model never answered, or where no answer was ever rated, though the share elsewhere made
 * that improbable: the longest and the shortest prompts, categories, and the beginning and the end of the log.
 */
export function unansweredRegions(
  dataset: Pick<Dataset, 'prompts' | 'categories'>,
  { prompts, strong, rated }: SingleAnswers,
  names: { readonly strong: string; readonly weak: string },
): Region[] {
  const n = prompts.length
  const shareOf = (flags: Uint8Array): number => flags.reduce((sum, value) => sum + value, 0) / n
  const found: Region[] = []
  const length = (row: number): number => promptCharacters(dataset.prompts[prompts[row]!]!)
  const byLength = Array.from({ length: n }, (_, row) => row).sort(
    (a, b) => length(a) - length(b) || a - b,
  )
  const inOrder = Array.from({ length: n }, (_, row) => row)
  for (const [flags, answered, never, share] of [
    [strong, 1, `answered by ${names.strong}`, shareOf(strong)],
    [strong, 0, `answered by ${names.weak}`, 1 - shareOf(strong)],
    [rated, 1, 'rated', shareOf(rated)],
  ] as const) {
    const certain = (rows: readonly number[]): boolean =>
      rows.length >= LEAST_REGION && rows.length * Math.log1p(-share) <= Math.log(BY_CHANCE)
    const named = new Set<number>()
    const add = (what: string, rows: readonly number[]): void => {
      // a part of a part that is named already says nothing new
      if (!certain(rows) || rows.every((row) => named.has(row))) return
      for (const row of rows) named.add(row)
      found.push({
        words: `${what} were never ${never} (${count(rows.length)} prompts)`,
        rows,
      })
    }
    const runFrom = (order: readonly number[]): number[] => {
      const end = order.findIndex((row) => flags[row] === answered)
      return order.slice(0, end < 0 ? order.length : end)
    }
    // whole groups of equal length only
    const longest = runFrom(byLength.toReversed()).filter(
      (row, _, run) => run.length === n || length(row) > length(nextOf(byLength.toReversed(), run)),
    )
    const shortest = runFrom(byLength).filter(
      (row, _, run) => run.length === n || length(row) < length(nextOf(byLength, run)),
    )
    if (longest.length < n) {
      const [inside, outside] = [
        length(longest.at(-1) ?? 0),
        length(nextOf(byLength.toReversed(), longest)),
      ]
      add(`prompts over ${count(roundBetween(outside, inside - 1))} characters`, longest)
      const [high, low] = [length(nextOf(byLength, shortest)), length(shortest.at(-1) ?? 0)]
      add(`prompts under ${count(roundBetween(low + 1, high))} characters`, shortest)
      const first = runFrom(inOrder)
      const last = runFrom(inOrder.toReversed())
      add(`the first ${count(first.length)} prompts of the log`, first)
      add(`the last ${count(last.length)} prompts of the log`, last)
      for (const [category, rows] of byCategory(dataset, prompts)) {
        if (rows.every((row) => flags[row] !== answered))
          add(`prompts of category ${category}`, rows)
      }
    } else add('the prompts', longest)
  }
  return found
}

/** The row after a run at the start of an order. */
const nextOf = (order: readonly number[], run: readonly number[]): number =>
  order[run.length] ?? order.at(-1)!

function byCategory(
  { categories }: Pick<Dataset, 'categories'>,
  prompts: Int32Array,
): Map<string, number[]> {
  const groups = new Map<string, number[]>()
  prompts.forEach((prompt, row) => {
    const name = categories[prompt]
    if (name === undefined) return
    const group = groups.get(name)
    if (group) group.push(row)
    else groups.set(name, [row])
  })
  return groups
}

/** The roundest whole number in [low, high]: a multiple of the largest power of ten that has one there. */
function roundBetween(low: number, high: number): number {
  for (let unit = 10 ** Math.ceil(Math.log10(Math.max(high, 1))); unit > 1; unit /= 10) {
    for (const step of [unit, unit / 2]) {
      const value = Math.ceil(low / step) * step
      if (Number.isInteger(step) && value <= high) return value
    }
  }
  return low
}

const count = (value: number): string => value.toLocaleString('en-US')

/**
 * Probability that a random prompt of the strong model has a higher propensity than one of the weak model's
 * (ties half): .5 if nothing tells them apart.
 */
export function propensityAuc(propensity: Float64Array, strong: Uint8Array): number {
  const order = Array.from(propensity.keys()).sort((a, b) => propensity[a]! - propensity[b]!)
  let [below, sum, ones] = [0, 0, 0]
  for (let from = 0; from < order.length; ) {
    let to = from
    let [up, down] = [0, 0]
    while (to < order.length && propensity[order[to]!] === propensity[order[from]!]) {
      if (strong[order[to]!] === 1) up++
      else down++
      to++
    }
    sum += up * (below + down / 2)
    below += down
    ones += up
    from = to
  }
  const pairs = ones * (order.length - ones)
  return pairs > 0 ? sum / pairs : 0.5
}
