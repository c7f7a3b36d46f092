import { Matrix, solve } from 'ml-matrix'
import { createRandom, deriveSeed, type Random } from '../../../core/random.ts'
import { MeanAlarm } from '../../../serving/alarms/mean-alarm.ts'

/** How soon a fall of the weak model's audited quality is detected, and how often falsely. */
export interface AlarmFigures {
  /** success rate in normal operation */
  readonly rate: number
  /** audited requests that the alarm's reference was measured on */
  readonly referenceRows: number
  readonly falsePer10k: number
  /** audited requests from the fall to the alarm, after 1,000 in normal operation */
  readonly delay: number
  readonly optimalDelay: number
  readonly delayOfTen: number
  /** values between false alarms of the optimal procedure, exact */
  readonly optimalRunLength: number
}

const RUN_LENGTH = 10_000
const SHIFT = 0.05
const WARM_UP = 1000

/** Ours knows neither rate, only a measured reference. The optimal CUSUM is given both. */
export function simulateAlarm(
  rate: number,
  options: { readonly seed: number; readonly runs: number; readonly referenceRows: number },
): AlarmFigures {
  const { seed, runs, referenceRows } = options
  const optimal = optimalCusum(rate, rate - SHIFT, RUN_LENGTH)
  const random = createRandom(deriveSeed(seed, 'alarm'))
  const coin = (p: number): number => (random.next() < p ? 1 : 0)
  const ours = (): MeanAlarm =>
    new MeanAlarm({
      reference: measured(rate, referenceRows, random),
      referenceRows,
      shift: SHIFT,
      direction: 'fall',
      runLength: RUN_LENGTH,
    })
  let alarms = 0
  let watched = 0
  for (let run = 0; run < runs; run++) {
    const alarm = ours()
    for (let i = 0; i < 2 * RUN_LENGTH; i++) if (alarm.add(coin(rate))) alarms++
    watched += 2 * RUN_LENGTH
  }
  const noticed = (fall: number): number => {
    let sum = 0
    let counted = 0
    for (let run = 0; run < runs; run++) {
      const alarm = ours()
      let early = false
      for (let i = 0; i < WARM_UP; i++) early = alarm.add(coin(rate)) || early
      let steps = 1
      while (!alarm.add(coin(rate - fall))) steps++
      if (early) continue
      sum += steps
      counted++
    }
    return sum / counted
  }
  return {
    rate,
    referenceRows,
    falsePer10k: (alarms / watched) * 10_000,
    delay: noticed(SHIFT),
    optimalDelay: optimalDelay(optimal, rate, runs, coin),
    delayOfTen: noticed(2 * SHIFT),
    optimalRunLength: optimal.runLength(rate),
  }
}

function optimalDelay(
  { step, limit }: ReturnType<typeof optimalCusum>,
  rate: number,
  runs: number,
  coin: (p: number) => number,
): number {
  let sum = 0
  let counted = 0
  for (let run = 0; run < runs; run++) {
    let level = 0
    let early = false
    for (let i = 0; i < WARM_UP; i++) {
      level = Math.max(0, level + step[coin(rate) as 0 | 1])
      early ||= level >= limit
    }
    let steps = 0
    while (level < limit) {
      level = Math.max(0, level + step[coin(rate - SHIFT) as 0 | 1])
      steps++
    }
    if (early) continue
    sum += steps
    counted++
  }
  return sum / counted
}

function measured(rate: number, rows: number, random: Random): number {
  let hits = 0
  for (let i = 0; i < rows; i++) if (random.next() < rate) hits++
  return hits / rows
}

/** Page's CUSUM of a 0/1 sequence, given both rates, with its limit found for a run length. */
export interface OptimalCusum {
  readonly step: readonly [failure: number, success: number]
  readonly limit: number
  /** mean number of values until it fires, at a success rate, from its start */
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
