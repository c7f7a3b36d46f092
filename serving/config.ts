import Type from 'typebox'
import { Exploration } from '../models/online/exploration.ts'
import { Alarms } from './alarms/config.ts'
import { GatewayConfig } from './gateway/config.ts'
import { Online } from './online/config.ts'

const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })

/** What a server is told: `weir serve --config FILE`, or the same put together from flags. */
export const ServeConfig = Type.Object(
  {
    routers: Type.Array(
      Type.Object(
        {
          /** a bundle's NAME folder (its current version) or one version's */
          path: Type.String({ minLength: 1 }),
          /** JSONL of prompts with the model they must go to; a new version that fails one is refused */
          golden: Type.Optional(Type.String()),
        },
        { additionalProperties: false },
      ),
      { minItems: 1 },
    ),
    /** what `default`, and a request that names no router, means; else the first router */
    default: Type.Optional(Name),
    aliases: Type.Optional(Type.Record(Name, Name)),
    /** a name that stands for several routers, each getting its share of the sessions */
    splits: Type.Optional(
      Type.Record(
        Name,
        Type.Array(
          Type.Object(
            { router: Name, weight: Type.Number({ exclusiveMinimum: 0 }) },
            { additionalProperties: false },
          ),
          { minItems: 2 },
        ),
      ),
    ),
    /** routers that decide beside another one and are logged, never answered with */
    shadows: Type.Optional(
      Type.Array(Type.Object({ of: Name, router: Name }, { additionalProperties: false })),
    ),
    /** try the other model now and then, with a known probability; off where absent */
    exploration: Type.Optional(Exploration),
    /** correct win rates by what feedback says, within a budget; off where absent */
    online: Type.Optional(Online),
    /** watch traffic and feedback; nothing is watched where absent */
    alarms: Type.Optional(Alarms),
    /** a decision not made in this time is made by the fallback; 0 waits for ever */
    deadline_ms: Type.Optional(Type.Number({ minimum: 0 })),
    /** requests under way before more are refused with 503 */
    max_in_flight: Type.Optional(Type.Integer({ minimum: 1 })),
    /** lag of the event loop, in milliseconds, past which requests are refused with 503 */
    max_lag_ms: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    /** scores kept a router version, by prompt; 0 keeps none */
    cache_entries: Type.Optional(Type.Integer({ minimum: 0 })),
    /** requests a minute of each key (of each client address, without keys) */
    rate_per_minute: Type.Optional(Type.Integer({ minimum: 1 })),
    keys: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Name,
            /** SHA-256 of the key, in hex: the key itself is nowhere on the server */
            sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
            routers: Type.Optional(Type.Array(Name, { minItems: 1 })),
            rate_per_minute: Type.Optional(Type.Integer({ minimum: 1 })),
          },
          { additionalProperties: false },
        ),
      ),
    ),
    /** answer chats as well: upstreams, models, prices; routes decisions alone where absent */
    gateway: Type.Optional(GatewayConfig),
    /** where feedback goes instead of the log: `postgres://...`, shared by replicas, or a folder */
    store: Type.Optional(Type.String({ minLength: 1 })),
    log: Type.Optional(
      Type.Object(
        {
          folder: Type.String({ minLength: 1 }),
          text: Type.Optional(
            Type.Union([Type.Literal('none'), Type.Literal('redacted'), Type.Literal('full')]),
          ),
          embedding: Type.Optional(Type.Boolean()),
          /** metadata and tags of the gateway's requests, which rules read */
          metadata: Type.Optional(Type.Boolean()),
          /** milliseconds between fsyncs: what a power cut may take */
          sync_ms: Type.Optional(Type.Number({ minimum: 1 })),
          segment_mb: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)
export type ServeConfig = Type.Static<typeof ServeConfig>

export const DEFAULT_DEADLINE_MS = 50
export const DEFAULT_MAX_IN_FLIGHT = 1024
export const DEFAULT_MAX_LAG_MS = 500
export const DEFAULT_CACHE_ENTRIES = 4096
