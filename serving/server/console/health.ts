import { printable } from '../../../core/printable.ts'
import type { Services } from '../services.ts'
import type { Answered } from './contract.ts'
import { figure } from './money.ts'
import type { Traffic } from './traffic.ts'

/** What watches the server, as it stands now. */
export function health(services: Services, { outcomes }: Traffic): Answered<'health'> {
  const { alarms, fleet, encoders, gateway, gate, log } = services
  const routers = [...(fleet.snapshot?.routers.values() ?? [])]
  const down = new Set(encoders.down())
  return {
    watched: alarms !== undefined,
    alarms: alarmsOf(services),
    stale: [...(alarms?.stale ?? [])],
    ratings: outcomes.bins.map(({ winRate, strong, weak }) => ({
      ...{ win_rate: winRate.interval.value, strong: figure(strong), weak: figure(weak) },
    })),
    encoders: routers.map(({ router: { manifest } }) => ({
      router: manifest.name,
      encoder: manifest.encoder.kind,
      down: down.has(manifest.name),
    })),
    upstreams: [...(gateway?.breakers ?? [])].map(([name, { state }]) => {
      const counts = outcomes.upstreamOf(name)
      const { attempts = 0, failed = 0 } = counts ?? {}
      return { name, state, attempts, failed, ms: figure(counts?.ms) }
    }),
    reloads: outcomes.reloads
      .map((seen) => ({ ...seen, message: printable(seen.message) }))
      .toReversed(),
    log: log ? (log.failing ? 'failing' : 'written') : 'none',
    in_flight: gate.inFlight,
    lag_ms: gate.lagMs,
  }
}

/** Every alarm that is watched or was raised: one whose reference is not known yet has no level. */
function alarmsOf({ alarms }: Services): Answered<'health'>['alarms'] {
  const found = new Map<string, Answered<'health'>['alarms'][number]>()
  for (const { router, alarm, level } of alarms?.levels() ?? []) {
    found.set(`${router}\n${alarm}`, { router, alarm, level, raised: 0 })
  }
  for (const [key, { router, alarm, count }] of alarms?.raised ?? []) {
    found.set(key, { router, alarm, level: found.get(key)?.level ?? null, raised: count })
  }
  return [...found.values()]
}
