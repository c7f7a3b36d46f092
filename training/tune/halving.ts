/** How many trials a rung has and which part of the train rows they see. */
export interface Rung {
  readonly trials: number
  readonly fraction: number
}

/** Of a rung's trials one in this many goes on. */
const KEPT = 3
/** Below a ninth of the rows a setting's rank says little of its rank on all of them. */
const MAX_RUNGS = 3

/**
 * Successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943): all trials on a small part of the rows,
 * the best third of them on three times as many, until the last ones see all.
 */
export function planRungs(trials: number): Rung[] {
  const counts = [trials]
  while (counts.length < MAX_RUNGS && counts.at(-1)! > 2) {
    counts.push(Math.max(2, Math.ceil(counts.at(-1)! / KEPT)))
  }
  return counts.map((count, rung) => ({
    trials: count,
    fraction: KEPT ** (rung + 1 - counts.length),
  }))
}

/** A trial's loss at each rung it reached. */
export interface Trial<T> {
  readonly settings: T
  readonly losses: readonly number[]
}

export interface HalvingResult<T> {
  readonly trials: readonly Trial<T>[]
  /** place of the best among the trials: least loss at the last whole rung */
  readonly best: number
  /** true where the signal ended it before the last rung was whole */
  readonly stopped: boolean
}

/**
 * Runs the rungs. The first candidate (the defaults) reaches the last rung whatever its losses, so that what
 * wins has beaten it on all rows.
 *
 * @param loss of one candidate fitted on that part of the rows; not finite where it could not be fitted
 */
export async function successiveHalving<T>(
  candidates: readonly T[],
  loss: (candidate: T, rung: number, fraction: number) => Promise<number>,
  signal?: AbortSignal,
): Promise<HalvingResult<T>> {
  const losses: number[][] = candidates.map(() => [])
  const rungs = planRungs(candidates.length)
  let alive = candidates.map((_, i) => i)
  let best = 0
  for (const [rung, { trials, fraction }] of rungs.entries()) {
    alive = [0, ...alive.filter((i) => i !== 0)].slice(0, trials)
    for (const i of alive) {
      if (!signal?.aborted) losses[i]!.push(await loss(candidates[i]!, rung, fraction))
      // what the signal cut short is no measurement
      if (signal?.aborted) {
        losses[i]!.length = Math.min(losses[i]!.length, rung)
        const found = rung > 0 ? best : ranked(alive, losses, 0)[0]
        return { trials: zip(candidates, losses), best: found ?? 0, stopped: true }
      }
    }
    alive = ranked(alive, losses, rung)
    best = alive[0] ?? 0
  }
  return { trials: zip(candidates, losses), best, stopped: false }
}

/** Those with a finite loss at the rung, the least first; the earlier of equals first. */
function ranked(alive: readonly number[], losses: readonly number[][], rung: number): number[] {
  const at = (i: number): number => losses[i]![rung] ?? Number.NaN
  return alive.filter((i) => Number.isFinite(at(i))).toSorted((a, b) => at(a) - at(b) || a - b)
}

const zip = <T>(candidates: readonly T[], losses: readonly number[][]): Trial<T>[] =>
  candidates.map((settings, i) => ({ settings, losses: losses[i]! }))
