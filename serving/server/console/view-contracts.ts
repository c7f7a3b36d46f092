import Type from 'typebox'
import { SPEND_GROUPS, type SpendGroup } from '../../budgets/spend.ts'

// What the views Money, Health and Change ask and are answered; a part of ENDPOINTS.

const closed = { additionalProperties: false }
const Nullable = <T extends Type.TSchema>(type: T) => Type.Union([type, Type.Null()])

/** A figure with its 95% interval, each null where it is not defined, and the number of values behind it. */
const Figure = Type.Object({
  n: Type.Integer(),
  value: Nullable(Type.Number()),
  low: Nullable(Type.Number()),
  high: Nullable(Type.Number()),
})

const SpendRow = Type.Object({
  /** a key, route, model or day */
  name: Type.String(),
  requests: Type.Integer(),
  input_tokens: Type.Number(),
  output_tokens: Type.Number(),
  cost_usd: Type.Number(),
  saved_usd: Type.Number(),
  uncounted: Type.Integer(),
  /** US dollars that a request saved, on average */
  saved_each: Figure,
})

export const MONEY_ENDPOINTS = {
  money: {
    summary:
      'What was spent and saved since the server started, by key, route, model or day, and the budgets.',
    role: 'viewer',
    query: Type.Object(
      {
        by: Type.Optional(
          Type.Unsafe<SpendGroup>(Type.Union(SPEND_GROUPS.map((group) => Type.Literal(group)))),
        ),
      },
      closed,
    ),
    answer: Type.Object({
      since: Type.String(),
      now: Type.Number(),
      /** highest cost first, days in order; at most 500 */
      rows: Type.Array(SpendRow),
      /** of all rows, also those that are left out */
      total: SpendRow,
      /** US dollars spent on shadow answers and their judge, which savings must first pay */
      shadow_usd: Type.Number(),
      /** spent and saved by minute of the last day, oldest first */
      minutes: Type.Array(
        Type.Object({ time: Type.Number(), cost_usd: Type.Number(), saved_usd: Type.Number() }),
      ),
      budgets: Type.Array(
        Type.Object({
          name: Type.String(),
          usd: Type.Number(),
          per: Type.String(),
          period: Type.String(),
          spent_usd: Type.Number(),
          /** upper bounds of requests in progress */
          held_usd: Type.Number(),
          refused: Type.Integer(),
        }),
      ),
    }),
  },
} as const

export const HEALTH_ENDPOINTS = {
  health: {
    summary: 'Alarms, what feedback says of win rates, encoders, upstreams, refused reloads.',
    role: 'viewer',
    answer: Type.Object({
      /** whether anything is watched */
      watched: Type.Boolean(),
      /** how near each alarm is to firing, from 0 to 1 */
      alarms: Type.Array(
        Type.Object({
          router: Type.String(),
          alarm: Type.String(),
          level: Nullable(Type.Number()),
          raised: Type.Integer(),
        }),
      ),
      /** routers whose certificate no longer fits the traffic */
      stale: Type.Array(Type.String()),
      /** ratings by bins of win rates, from 0 to 1 in equal steps */
      ratings: Type.Array(
        Type.Object({ win_rate: Nullable(Type.Number()), strong: Figure, weak: Figure }),
      ),
      encoders: Type.Array(
        Type.Object({ router: Type.String(), encoder: Type.String(), down: Type.Boolean() }),
      ),
      upstreams: Type.Array(
        Type.Object({
          name: Type.String(),
          /** of its circuit breaker: closed, half_open, open */
          state: Type.String(),
          attempts: Type.Integer(),
          failed: Type.Integer(),
          ms: Figure,
        }),
      ),
      /** newest first */
      reloads: Type.Array(
        Type.Object({
          time: Type.Number(),
          result: Type.Union([Type.Literal('ok'), Type.Literal('refused')]),
          message: Type.String(),
        }),
      ),
      log: Type.Union([Type.Literal('none'), Type.Literal('written'), Type.Literal('failing')]),
      in_flight: Type.Integer(),
      lag_ms: Type.Number(),
    }),
  },
} as const
