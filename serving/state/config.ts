import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { isPostgresUrl } from '../../records/postgres.ts'

const Store = Type.String({
  pattern: '^(memory|postgres(ql)?://.+|(redis|rediss|valkey|valkeys)://.+)$',
})

/** What becomes of a request that a budget counts while its store does not answer. */
const WhenGone = Type.Union([Type.Literal('closed'), Type.Literal('open')])

/** Where a server keeps what several servers share: the `state` section of its configuration. */
export const StateConfig = Type.Object(
  {
    /**
     * `memory`: one server. `postgres://...` keeps budgets, approvals and the audit; `redis://...` or `valkey://...`
     * rates, sessions and cached decisions
     */
    stores: Type.Union([Store, Type.Array(Store, { minItems: 1, maxItems: 2 })]),
    /** servers that answer together (default 1); several need stores for what they promise together */
    replicas: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
    /** seconds after which what a server has reserved is settled without it, once it no longer reports */
    lease_seconds: Type.Optional(Type.Number({ minimum: 1, maximum: 3600 })),
    /**
     * what a reservation of a lost server counts as: `expected` (the share of upper bounds that the budget has paid
     * so far; the default), `bound`, or `nothing`
     */
    lost_reservations: Type.Optional(
      Type.Union([Type.Literal('expected'), Type.Literal('bound'), Type.Literal('nothing')]),
    ),
    /** `closed` (the default) refuses with 503, `open` lets through and counts later */
    budgets_when_gone: Type.Optional(WhenGone),
    /** folder where feedback waits while its store is gone (default `feedback-waiting` in the log folder) */
    spool: Type.Optional(Type.String({ minLength: 1 })),
    /** longest wait for a store, in milliseconds */
    deadline_ms: Type.Optional(Type.Number({ minimum: 10, maximum: 60_000 })),
  },
  { additionalProperties: false },
)
export type StateConfig = Type.Static<typeof StateConfig>

/** The section, with its defaults; without it, the server keeps everything itself. */
export interface StateSettings {
  readonly postgres: string | undefined
  readonly redis: string | undefined
  readonly replicas: number
  readonly leaseMs: number
  readonly lostReservations: 'expected' | 'bound' | 'nothing'
  readonly budgetsWhenGone: 'closed' | 'open'
  readonly spool: string | undefined
  readonly deadlineMs: number
}

export const DEFAULT_LEASE_SECONDS = 30
export const DEFAULT_STORE_DEADLINE_MS = 1000

/** @throws config_invalid if two stores are of one kind */
export function stateSettings(config: StateConfig | undefined): StateSettings {
  const stores = [config?.stores ?? 'memory'].flat().filter((store) => store !== 'memory')
  const [postgres, ...second] = stores.filter(isPostgresUrl)
  const [redis, ...more] = stores.filter((store) => !isPostgresUrl(store))
  if (second.length > 0 || more.length > 0) {
    throw new WeirError('config_invalid', {
      where: 'state.stores',
      expected: 'at most one postgres:// and one redis:// or valkey://',
      got: `${stores.length} of one kind`,
    })
  }
  return {
    postgres,
    // ioredis knows Redis' names of the protocol only
    redis: redis?.replace(/^valkey/, 'redis'),
    replicas: config?.replicas ?? 1,
    leaseMs: (config?.lease_seconds ?? DEFAULT_LEASE_SECONDS) * 1000,
    lostReservations: config?.lost_reservations ?? 'expected',
    budgetsWhenGone: config?.budgets_when_gone ?? 'closed',
    spool: config?.spool,
    deadlineMs: config?.deadline_ms ?? DEFAULT_STORE_DEADLINE_MS,
  }
}
