import { Matrix, solve } from 'ml-matrix'

/** Page's CUSUM of a 0/1 sequence that is told both rates, with its limit found for a run length. */
export interface OptimalCusum {
  readonly step: readonly [failure: number, success: number]
  readonly limit: number
  /** mean number of values until it goes off, at a success rate, from its start */
  runLength(rate: number): number
}

const STATES = 150

/** Moustakides 1986: no procedure with this run length between false alarms has a shorter worst delay. */
export function optimalCusum(before: number, after: number, runLength: number): OptimalCusum {
  const step = [Math.log((1 - after) / (1 - before)), Math.log(after / before)] as const
  let low = 0.5
  let high = 12
  for (let round = 0; round < 24; round++) {
    const middle = (low + high) / 2
    if (meanRunLength(step, middle, before) < runLength) low = middle
    else high = middle
  }
  return { step, limit: high, runLength: (rate) => meanRunLength(step, high, rate) }
}

/** Brook and Evans 1972: the statistic as a Markov chain on a grid; moves are split between neighbours. */
function meanRunLength(
  [failure, success]: readonly [number, number],
  limit: number,
  rate: number,
): number {
  const width = limit / STATES
  const system = Matrix.eye(STATES, STATES)
  const move = (from: number, by: number, p: number): void => {
    const at = Math.max(0, from + by / width)
    const below = Math.floor(at)
    const part = at - below
    if (below < STATES) system.set(from, below, system.get(from, below) - p * (1 - part))
    if (below + 1 < STATES) system.set(from, below + 1, system.get(from, below + 1) - p * part)
  }
  for (let from = 0; from < STATES; from++) {
    move(from, failure, 1 - rate)
    move(from, success, rate)
  }
  return solve(system, Matrix.ones(STATES, 1)).get(0, 0)
}
