import type { Tick } from '../serving/server/console/contract.ts'

/** Every second of the last two minutes, oldest first; one in which nothing happened has zeros. */
export function everySecond(seconds: readonly Tick[], now: number): readonly Tick[] {
  const last = Math.floor(now / 1000) * 1000 - 1000
  const known = new Map(seconds.map((tick) => [tick.time, tick]))
  return Array.from({ length: 120 }, (_, i) => {
    const time = last - (119 - i) * 1000
    return known.get(time) ?? { ...NOTHING, time }
  })
}

const NOTHING: Omit<Tick, 'time'> = {
  ...{ decisions: 0, strong: 0, requests: 0, errors: 0, fallbacks: 0 },
  ...{ cost_usd: 0, saved_usd: 0, decision_ms: 0, upstream_ms: 0 },
}
