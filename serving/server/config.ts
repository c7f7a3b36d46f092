import Type from 'typebox'
import { EncoderConnection } from '../../models/encoders/openai/access.ts'
import { Alarms } from '../alarms/config.ts'
import { GatewayConfig } from '../gateway/config.ts'
import { ROUTING } from '../router/config.ts'

/** What a server is told: `weir serve --config FILE`, or the same put together from flags. */
export const ServeConfig = Type.Object(
  {
    ...ROUTING,
    /** embeddings endpoints that encoders of bundles may use, by the name that a bundle asks for */
    encoders: Type.Optional(Type.Record(Type.String(), EncoderConnection)),
    /** hosts to which a bundle may send prompts at an address of its choice, as `name` or `name:port` */
    allow_encoder_hosts: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    /** the environment variable whose key those hosts are sent; none where absent */
    encoder_key_env: Type.Optional(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' })),
    /** watch traffic and feedback; nothing is watched where absent */
    alarms: Type.Optional(Alarms),
    /** a decision not made in this time is made by the fallback; 0 waits for ever */
    deadline_ms: Type.Optional(Type.Number({ minimum: 0 })),
    /** requests under way before more are refused with 503 */
    max_in_flight: Type.Optional(Type.Integer({ minimum: 1 })),
    /** lag of the event loop, in milliseconds, past which requests are refused with 503 */
    max_lag_ms: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    /** requests a minute of each key (of each client address, without keys) */
    rate_per_minute: Type.Optional(Type.Integer({ minimum: 1 })),
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
