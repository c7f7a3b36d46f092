import Type, { type TBoolean } from 'typebox'
import { Price } from '../../models/prices.ts'
import { Budgets, SpendSettings } from '../budgets/settings.ts'
import { HeaderName } from '../upstreams/http-upstream.ts'
import { UpstreamConfig } from '../upstreams/kinds.ts'
import type { Feature } from './needs.ts'
import { ParameterRules } from './parameters.ts'

const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })
/** models have slashes and colons in their names */
const ModelName = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._:/@-]*$' })
const Milliseconds = Type.Number({ minimum: 1, maximum: 2_147_483_647 })

export const ModelConfig = Type.Object(
  {
    /** the upstreams that answer for it; the load is balanced over several */
    upstreams: Type.Array(
      Type.Object(
        {
          upstream: Name,
          /** the upstream's name for it, if different */
          model: Type.Optional(Type.String({ minLength: 1 })),
          /** its share of the load relative to the others (default 1) */
          weight: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
        },
        { additionalProperties: false },
      ),
      { minItems: 1 },
    ),
    /** prices that its requests are billed by */
    price: Type.Optional(Price),
    /** tokens of prompt and answer together; budgets use it to bound the cost of a question */
    context: Type.Optional(Type.Integer({ minimum: 1 })),
    /** most tokens of an answer; `context` if absent */
    output_tokens: Type.Optional(Type.Integer({ minimum: 1 })),
    /** what it takes (true) or does not (false); what is not said is tried, and learnt from refusals */
    capabilities: Type.Optional(
      Type.Partial(
        Type.Object(
          {
            images: Type.Boolean(),
            audio: Type.Boolean(),
            files: Type.Boolean(),
            tools: Type.Boolean(),
            /** JSON objects and JSON Schemas */
            response_format: Type.Boolean(),
            /** several answers to one question */
            n: Type.Boolean(),
            logprobs: Type.Boolean(),
            /** reasoning_effort and thinking */
            reasoning: Type.Boolean(),
          } satisfies Record<Feature, TBoolean>,
          { additionalProperties: false },
        ),
      ),
    ),
    /** how parameters of requests are changed for it */
    parameters: Type.Optional(ParameterRules),
    /** any scale, the same for all models: failover tries higher quality. Prices are used if it is missing */
    quality: Type.Optional(Type.Number()),
  },
  { additionalProperties: false },
)
export type ModelConfig = Type.Static<typeof ModelConfig>

export const BreakerConfig = Type.Object(
  {
    /** failures in a row that open it */
    failures: Type.Optional(Type.Integer({ minimum: 1 })),
    /** more failures than this share of the last 20 answers open it; 1 never does */
    share: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
    /** milliseconds until one request may try again; doubled each time that fails, up to 16 times */
    open_ms: Type.Optional(Milliseconds),
  },
  { additionalProperties: false },
)
export type BreakerConfig = Type.Static<typeof BreakerConfig>

/** `gateway.shadow_answers`: what another model would have answered, judged, for a share of the requests. */
export const ShadowAnswersConfig = Type.Object(
  {
    /** of the answered chats, drawn at random */
    share: Type.Number({ exclusiveMinimum: 0, maximum: 1 }),
    /** names of `gateway.models`; one of those that did not answer is asked, each with the same probability */
    models: Type.Array(ModelName, { minItems: 1 }),
    /** a name of `gateway.models` that is none of them; grades both answers, each by itself and without names */
    judge: ModelName,
    /** most US dollars a day for the other models and the judge; reserved before each call */
    budget_usd: Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 }),
    /** takes out e-mail addresses, numbers and keys before anything is sent */
    redact: Type.Optional(Type.Boolean()),
    /** what a good answer is, for the judge */
    criteria: Type.Optional(Type.String({ minLength: 1 })),
  },
  { additionalProperties: false },
)
export type ShadowAnswersConfig = Type.Static<typeof ShadowAnswersConfig>

/** `gateway.weak_signals`: what the next request of a session says of the answer before it, logged. */
export const WeakSignalsConfig = Type.Object(
  {
    /** a request that comes later than this after an answer says nothing of it (default 60) */
    minutes: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    /** sessions that this process remembers, in at most 256 MiB (default 10,000) */
    sessions: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
  },
  { additionalProperties: false },
)
export type WeakSignalsConfig = Type.Static<typeof WeakSignalsConfig>

/** The `gateway` section of a server's configuration. */
export const GatewayConfig = Type.Object(
  {
    upstreams: Type.Record(Name, UpstreamConfig),
    models: Type.Record(ModelName, ModelConfig),
    /**
     * the upstream for requests other than chats that name none of `models`: files, batches, speech; refused
     * if absent
     */
    default_upstream: Type.Optional(Name),
    /** hosts (`name` or `name:port`) that upstreams may be on; any host if absent */
    allow_hosts: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })),
    /** client headers that are passed on to upstreams, in lower case */
    forward_headers: Type.Optional(Type.Array(HeaderName)),
    /** largest request body in bytes */
    max_body_bytes: Type.Optional(Type.Integer({ minimum: 1024 })),
    /** limit for a whole answer or the first token of a stream, including all retries */
    deadline_ms: Type.Optional(Milliseconds),
    /** longest duration of a stream */
    stream_limit_ms: Type.Optional(Milliseconds),
    /** attempts at one model before the next is tried */
    attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: 10 })),
    /** retries allowed per request served, averaged over time: 0.2 lets one in five be retried */
    retry_budget: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    /** longest wait for a rate limit to pass while nothing else can be asked; the client gets 429 then */
    rate_limit_wait_ms: Type.Optional(Type.Number({ minimum: 0, maximum: 2_147_483_647 })),
    /** whether a model of lower quality may answer when the better one fails */
    allow_down: Type.Optional(Type.Boolean()),
    /** also asks the next model or upstream when the first has sent nothing for this long */
    hedge_after_ms: Type.Optional(Milliseconds),
    balance: Type.Optional(Type.Union([Type.Literal('least_loaded'), Type.Literal('weighted')])),
    /** folder of `weir policy propose` and `approve`: a policy that no second person approved is refused */
    require_approval: Type.Optional(Type.String({ minLength: 1 })),
    breaker: Type.Optional(BreakerConfig),
    /** a policy file: how each chat is handled; if absent, the learned router alone decides */
    policy: Type.Optional(Type.String({ minLength: 1 })),
    /** several policies, each serving its share of the requests: sticky by session, else key, else request */
    policies: Type.Optional(
      Type.Array(
        Type.Object(
          {
            name: Name,
            path: Type.String({ minLength: 1 }),
            weight: Type.Number({ exclusiveMinimum: 0 }),
          },
          { additionalProperties: false },
        ),
        { minItems: 1 },
      ),
    ),
    /** a JSON file of prices; a model's own `price` overrides it */
    prices: Type.Optional(Type.String({ minLength: 1 })),
    /**
     * a public list of models with their contexts, capabilities and prices
     * (`model_prices_and_context_window.json`); what a model states itself overrides it
     */
    capabilities: Type.Optional(Type.String({ minLength: 1 })),
    /** spending limits; those of policy files apply too */
    budgets: Type.Optional(Budgets),
    spend: Type.Optional(SpendSettings),
    /** also ask another model, after the client has its answer, and judge both; off if absent */
    shadow_answers: Type.Optional(ShadowAnswersConfig),
    /** also log what the next request of a session says of an answer: a correction, a stop, a stuck loop; off if absent */
    weak_signals: Type.Optional(WeakSignalsConfig),
  },
  { additionalProperties: false },
)
export type GatewayConfig = Type.Static<typeof GatewayConfig>

export const DEFAULT_REQUEST_DEADLINE_MS = 600_000
export const DEFAULT_STREAM_LIMIT_MS = 1_800_000
export const DEFAULT_ATTEMPTS = 3
export const DEFAULT_RATE_LIMIT_WAIT_MS = 2_000
export const DEFAULT_RETRY_BUDGET = 0.2
export const DEFAULT_FORWARD_HEADERS = [
  'openai-beta',
  'anthropic-beta',
  'traceparent',
  'tracestate',
]
