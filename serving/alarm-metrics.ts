import type { Registry } from 'prom-client'
import { registerLean } from './lean-metric.ts'

/** What the alarms come to. */
export interface AlarmNumbers {
  readonly raised: ReadonlyMap<string, { router: string; alarm: string; count: number }>
  readonly stale: ReadonlySet<string>
  levels(): { router: string; alarm: string; level: number }[]
}

/** Shows alarms among the metrics. */
export function watchAlarms(registry: Registry, alarms: AlarmNumbers): void {
  registerLean(registry, 'weir_alarms_total', 'Alarms that went off.', 'counter', () =>
    [...alarms.raised.values()].map(({ router, alarm, count }) => ({
      labels: { router, alarm },
      value: count,
    })),
  )
  registerLean(
    registry,
    'weir_alarm_level',
    'How near an alarm is to going off, 0 to 1.',
    'gauge',
    () =>
      alarms
        .levels()
        .map(({ router, alarm, level }) => ({ labels: { router, alarm }, value: level })),
  )
  registerLean(
    registry,
    'weir_certificate_stale',
    '1 where traffic no longer looks like what the router was certified on.',
    'gauge',
    () => [...alarms.stale].map((router) => ({ labels: { router }, value: 1 })),
  )
}
