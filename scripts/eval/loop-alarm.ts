import { MeanAlarm } from '../../models/drift/mean-alarm.ts'
import { createRandom, deriveSeed, type Random } from '../../models/random.ts'
import { optimalCusum } from './optimal-cusum.ts'

/** How soon a fall of the weak model's audited quality is noticed, and how often falsely. */
export interface AlarmFigures {
  /** success rate while all is well */
  readonly rate: number
  /** audited requests that the alarm's reference was measured on */
  readonly referenceRows: number
  readonly falsePer10k: number
  /** audited requests from the fall to the alarm, after 1,000 good ones */
  readonly delay: number
  readonly optimalDelay: number
  readonly delayOfTen: number
  /** values between false alarms of the optimal procedure, exact */
  readonly optimalRunLength: number
}

const RUN_LENGTH = 10_000
const SHIFT = 0.05
const WARM_UP = 1000

/** Ours knows neither rate: only a measured reference. The optimal CUSUM is told both. */
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
