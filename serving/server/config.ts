import Type from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { EncoderConnection } from '../../models/encoders/openai/access.ts'
import { Alarms } from '../alarms/config.ts'
import { GatewayConfig } from '../gateway/config.ts'
import { ROUTING } from '../router/config.ts'
import { StateConfig } from '../state/config.ts'
import { Cors } from './browser-guard.ts'

/** A server's configuration: `weir serve --config FILE`, or the same built from flags. */
export const ServeConfig = Type.Object(
  {
    ...ROUTING,
    /** embeddings endpoints that encoders of bundles may use, by the name in the bundle */
    encoders: Type.Optional(Type.Record(Type.String(), EncoderConnection)),
    /** hosts to which a bundle may send prompts at an address it sets, as `name` or `name:port` */
    allow_encoder_hosts: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    /** the environment variable of the key for those hosts; if absent, no key is sent */
    encoder_key_env: Type.Optional(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' })),
    /** watch traffic and feedback; nothing is watched if absent */
    alarms: Type.Optional(Alarms),
    /** time after which the fallback decides, in milliseconds; 0 waits without limit */
    deadline_ms: Type.Optional(Type.Number({ minimum: 0 })),
    /** requests in progress above which further ones are refused with 503 */
    max_in_flight: Type.Optional(Type.Integer({ minimum: 1 })),
    /** bytes of request bodies in memory above which further ones are refused with 503, before they are read */
    max_body_bytes_in_flight: Type.Optional(Type.Integer({ minimum: 1024 })),
    /** lag of the event loop, in milliseconds, past which requests are refused with 503 */
    max_lag_ms: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    /** requests per minute for each key (for each client address if there are no keys) */
    rate_per_minute: Type.Optional(Type.Integer({ minimum: 1 })),
    /** web pages that may call the server from a browser; none if absent */
    cors: Type.Optional(Cors),
    /** further host names of a server on this machine without keys, such as a proxy's `name` or `name:port` */
    hosts: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    /** also answer chats: upstreams, models, prices; if absent, the server only routes */
    gateway: Type.Optional(GatewayConfig),
    /** what several servers share, and where */
    state: Type.Optional(StateConfig),
    /** where feedback is stored instead of the log: `postgres://...`, shared by replicas, or a folder */
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
          /** milliseconds between fsyncs: what a power failure may lose */
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

/** @throws config_invalid if there is neither a router nor a gateway: nothing could be answered */
export function assertServes({ routers, gateway }: ServeConfig): void {
  if (routers.length > 0 || gateway) return
  const expected = 'a bundle of weir train, or a section gateway'
  throw new WeirError('config_invalid', { where: 'routers', expected, got: 'neither' })
}

export const DEFAULT_DEADLINE_MS = 50
export const DEFAULT_MAX_IN_FLIGHT = 1024
export const DEFAULT_MAX_LAG_MS = 500
